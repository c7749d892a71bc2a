"""Boosted models beyond plain trees of numbers: thresholds, categories, linear models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = pytest.mark.boosting

CATBOOST = {"iterations": 10, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.9, 1.0])
@pytest.mark.parametrize("source", ["in memory", "its own file"])
def test_catboost_chooses_by_the_probability_that_was_set(probability: float, source: str, tmp_path: Path) -> None:
    known, illness = patients(1)
    model: Any = catboost.CatBoostClassifier(**CATBOOST).fit(known, illness > np.median(illness))
    model.set_probability_threshold(probability)
    model.save_model(str(tmp_path / "model.cbm"))

    convert(model if source == "in memory" else tmp_path / "model.cbm", tmp_path / "out", data=known)

    fresh, _ = patients(2)
    served = ask_served(tmp_path / "out", fresh)["label"].astype(bool)
    assert served.tolist() == [str(each) == "True" for each in model.predict(fresh)]


WARDS = ["A1", "B2", "C3", "D4", "E5"]


def admissions(seed: int, *, unseen: bool = False) -> tuple[pd.DataFrame, Any]:
    """Patients with a ward, a code and a grade, some of them missing; with `unseen`, some that nobody knows."""
    frame, illness = patients(seed, 500)
    random = np.random.default_rng(seed + 1000)
    ward = random.integers(0, len(WARDS), len(frame))
    illness = illness + (ward % 2) * 1.5
    frame["ward"] = np.array(WARDS, dtype=object)[ward]
    frame["code"] = random.integers(0, 6, len(frame)).astype(np.float64)
    frame["grade"] = random.choice([10, 20, 50], len(frame))
    illness = illness + (frame["code"].to_numpy() % 3) + (frame["grade"].to_numpy() == 20)
    if unseen:
        frame.loc[random.random(len(frame)) < 0.1, "ward"] = "elsewhere"
        frame.loc[random.random(len(frame)) < 0.1, "code"] = 9.0
        frame.loc[random.random(len(frame)) < 0.1, "grade"] = 11
    frame.loc[random.random(len(frame)) < 0.05, "code"] = np.nan
    return frame, illness


def typed(frame: pd.DataFrame, like: pd.DataFrame | None = None) -> pd.DataFrame:
    """Ward and grade in pandas' category type, of the categories that `like` has."""
    if like is None:
        return frame.astype(dict.fromkeys(("ward", "grade"), "category"))
    # what is no category is missing
    known = {name: frame[name].where(frame[name].isin(like[name].cat.categories)) for name in ("ward", "grade")}
    return frame.assign(**known).astype({name: like[name].dtype for name in known})


@pytest.mark.parametrize("unseen", [False, True], ids=["seen", "unseen"])
def test_lightgbm_splits_by_the_categories_that_pandas_knew(unseen: bool, tmp_path: Path) -> None:
    known, illness = admissions(3)
    known = typed(known)
    model = lightgbm.LGBMClassifier(n_estimators=8, min_data_per_group=5, cat_smooth=1, n_jobs=1, verbose=-1)
    model.fit(known, np.digitize(illness, np.quantile(illness, [0.4, 0.8])))

    draft = convert(model, tmp_path / "out", data=known)

    assert {spec.name: spec.datatype for spec in draft.signature.inputs}["ward"] == "BYTES"
    fresh, _ = admissions(4, unseen=unseen)
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(typed(fresh, known)).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(typed(fresh, known)), atol=1e-6)


@pytest.mark.parametrize("source", ["estimator", "its own file"])
def test_lightgbm_splits_by_codes(source: str, tmp_path: Path) -> None:
    known, illness = admissions(5)
    known = known.drop(columns="ward")
    model = lightgbm.LGBMRegressor(n_estimators=8, min_data_per_group=5, cat_smooth=1, n_jobs=1, verbose=-1)
    model.fit(known, illness, categorical_feature=["code", "grade"])
    model.booster_.save_model(tmp_path / "model.txt")

    convert(model if source == "estimator" else tmp_path / "model.txt", tmp_path / "out", data=known)
    convert(model, tmp_path / "without data")

    fresh, _ = admissions(6, unseen=True)
    fresh = fresh.drop(columns="ward")
    fresh.loc[:20, "code"] = [-3, -1, -0.5, 0.5, 1.99, 5.5, 6, 31, 32, 33, 63, 64, 1e6, 1e9, 2, 3, 4, 5, 6, 7, 8]
    for directory in ("out", "without data"):
        served = ask_served(tmp_path / directory, fresh)["prediction"]
        np.testing.assert_allclose(served, model.predict(fresh), rtol=1e-5)


def test_a_text_file_of_lightgbm_keeps_the_categories(tmp_path: Path) -> None:
    known, illness = admissions(7)
    model = lightgbm.LGBMRegressor(n_estimators=8, min_data_per_group=5, cat_smooth=1, n_jobs=1, verbose=-1)
    model.fit(typed(known), illness)
    model.booster_.save_model(tmp_path / "model.txt")
    known.to_csv(tmp_path / "data.csv", index=False)

    convert(tmp_path / "model.txt", tmp_path / "out", data=tmp_path / "data.csv")

    fresh, _ = admissions(8, unseen=True)
    served = ask_served(tmp_path / "out", fresh)["prediction"]
    np.testing.assert_allclose(served, model.predict(typed(fresh, typed(known))), rtol=1e-5)
    with pytest.raises(InvalidInputError, match=r"texts as categories \('ward'\): give --data"):
        convert(tmp_path / "model.txt", tmp_path / "other")


@pytest.mark.parametrize("onehot", [1, 100], ids=["by sets", "one by one"])
@pytest.mark.parametrize("unseen", [False, True], ids=["seen", "unseen"])
def test_xgboost_splits_by_the_categories_that_pandas_knew(unseen: bool, onehot: int, tmp_path: Path) -> None:
    known, illness = admissions(9)
    known = typed(known)
    model = xgboost.XGBClassifier(n_estimators=8, enable_categorical=True, max_cat_to_onehot=onehot, n_jobs=1)
    model.fit(known, np.digitize(illness, np.quantile(illness, [0.4, 0.8])))

    draft = convert(model, tmp_path / "out", data=known)

    assert {spec.name: spec.datatype for spec in draft.signature.inputs}["ward"] == "BYTES"
    fresh, _ = admissions(10, unseen=unseen)
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(typed(fresh, known)).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(typed(fresh, known)), atol=1e-6)


@pytest.mark.parametrize("source", ["estimator", "its own file"])
def test_categories_that_xgboost_cuts_off_are_refused(source: str, tmp_path: Path) -> None:
    known, illness = admissions(9)
    known = typed(known.assign(ward=known["ward"].replace({"A1": "Ärzte", "B2": "外科"})))
    model = xgboost.XGBRegressor(n_estimators=3, enable_categorical=True, n_jobs=1).fit(known, illness)
    model.save_model(tmp_path / "model.json")

    with pytest.raises(ConversionError, match=r"categories that are not ASCII.*give them names in ASCII"):
        convert(model if source == "estimator" else tmp_path / "model.json", tmp_path / "out", data=known)


@pytest.mark.parametrize("source", ["estimator", "its own file"])
def test_xgboost_splits_by_codes(source: str, tmp_path: Path) -> None:
    known, illness = admissions(11)
    known = known.drop(columns="ward")
    types = ["q", "q", "q", "q", "c", "c"]
    model = xgboost.XGBRegressor(n_estimators=8, max_depth=4, feature_types=types, enable_categorical=True, n_jobs=1)
    model.fit(known.to_numpy(), illness)
    model.save_model(tmp_path / "model.ubj")

    convert(model if source == "estimator" else tmp_path / "model.ubj", tmp_path / "out", data=known.to_numpy())
    convert(model, tmp_path / "without data")

    fresh, _ = admissions(12, unseen=True)
    fresh = fresh.drop(columns="ward").astype(np.float32)
    fresh.loc[:12, "code"] = [0.5, 1.99, 5.5, 6, 31, 32, 33, 63, 64, 1e6, 2, 3, 4]
    fresh.columns = [f"x{index}" for index in range(6)]
    for directory in ("out", "without data"):
        served = ask_served(tmp_path / directory, fresh)["prediction"]
        np.testing.assert_allclose(served, model.predict(fresh.to_numpy()), rtol=1e-5)


LINEAR: dict[str, dict[str, Any]] = {
    "numbers": {"objective": "reg:squarederror"},
    "counts": {"objective": "count:poisson"},
    "two classes": {"objective": "binary:logistic"},
    "classes": {"objective": "multi:softprob"},
}


@pytest.mark.parametrize("parameters", LINEAR.values(), ids=LINEAR)
def test_linear_boosters_of_xgboost_answer_as_they_do(parameters: dict[str, Any], tmp_path: Path) -> None:
    known, illness = patients(13, missing=0.1)
    known["count"] /= 100
    stage = np.digitize(illness, np.quantile(illness, [0.4, 0.8]))
    classifies = parameters["objective"].startswith(("binary", "multi"))
    target = stage if parameters["objective"] != "binary:logistic" else (stage > 1).astype(int)
    kind = xgboost.XGBClassifier if classifies else xgboost.XGBRegressor
    model = kind(n_estimators=8, booster="gblinear", n_jobs=1, **parameters).fit(known, target)

    convert(model, tmp_path / "out", data=known)

    fresh, _ = patients(14, missing=0.1)
    fresh["count"] /= 100
    served = ask_served(tmp_path / "out", fresh)
    if classifies:
        assert served["label"].tolist() == model.predict(fresh).tolist()
        np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-5)
    else:
        np.testing.assert_allclose(served["prediction"], model.predict(fresh), rtol=1e-5)


def test_several_quantiles_of_xgboost_are_served_side_by_side(tmp_path: Path) -> None:
    known, illness = patients(15)
    model = xgboost.XGBRegressor(
        n_estimators=8, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9], n_jobs=1
    ).fit(known, illness)
    convert(model, tmp_path / "out", data=known)
    fresh, _ = patients(16)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-6)
