"""Estimators of boosting libraries, in memory and restored whole: what only they know is served too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from sklearn.base import is_classifier
from sklearn.datasets import load_wine

import trained
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert import convert
from onnxlet.values.manifest import ReferenceOrigin

pytestmark = pytest.mark.boosting

SENTINEL = -999.0
ROUNDS = 60


def patients(seed: int, rows: int = 400, *, missing: float = np.nan) -> tuple[pd.DataFrame, trained.Array]:
    """Numbers of many scales and types, some of them missing, and four stages."""
    random = np.random.default_rng(seed)
    age = random.integers(20, 90, rows)
    frame = pd.DataFrame(
        {
            "age": age.astype(np.int16),
            "marker a": random.normal(size=rows).astype(np.float32) + age / 30,
            "count": random.lognormal(9, 2, rows),
            "smoker": random.random(rows) < 0.4,
        }
    )
    for name in ("marker a", "count"):
        frame.loc[random.random(rows) < 0.2, name] = missing
    stage = np.digitize(age + 25 * frame["smoker"] + random.normal(0, 5, rows), [40, 60, 80])
    return frame, stage


def columns_of(frame: pd.DataFrame) -> dict[str, trained.Array]:
    return {str(name): frame[name].to_numpy() for name in frame}


def assert_served_alike(directory: Path, model: Any, fresh: pd.DataFrame) -> None:
    """The served graph answers fresh rows as the model's own public calls do."""
    answers = trained.served_model(directory).predict(columns_of(fresh), "columns")
    predicted = np.asarray(model.predict(fresh))
    if not is_classifier(model):
        np.testing.assert_allclose(answers["prediction"], predicted, rtol=1e-5, atol=1e-6)
        return
    assert answers["label"].tolist() == predicted.reshape(-1).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=1e-5)


def catboost_model(kind: type, **parameters: Any) -> Any:
    return kind(iterations=15, depth=4, verbose=0, allow_writing_files=False, thread_count=1, **parameters)


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "XGBoost": lambda: xgboost.XGBClassifier(n_estimators=8, max_depth=4, n_jobs=1),
    "XGBoost random forest": lambda: xgboost.XGBRFClassifier(n_estimators=8, max_depth=4, n_jobs=1),
    "LightGBM": lambda: lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1),
    "CatBoost": lambda: catboost_model(catboost.CatBoostClassifier),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "XGBoost": lambda: xgboost.XGBRegressor(n_estimators=8, max_depth=4, n_jobs=1),
    "XGBoost of probabilities": lambda: xgboost.XGBRegressor(n_estimators=8, objective="binary:logistic", n_jobs=1),
    "LightGBM": lambda: lightgbm.LGBMRegressor(n_estimators=8, n_jobs=1, verbose=-1),
    "LightGBM of counts": lambda: lightgbm.LGBMRegressor(n_estimators=8, objective="poisson", n_jobs=1, verbose=-1),
    "LightGBM of probabilities": lambda: lightgbm.LGBMRegressor(
        n_estimators=8, objective="binary", sigmoid=1.7, n_jobs=1, verbose=-1
    ),
    "CatBoost": lambda: catboost_model(catboost.CatBoostRegressor),
    "CatBoost of counts": lambda: catboost_model(catboost.CatBoostRegressor, loss_function="Poisson"),
}


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_in_memory_answer_as_their_predict_does(make: Callable[[], Any], tmp_path: Path) -> None:
    known, stage = patients(1)
    model = make().fit(known, stage)

    draft = convert(model, tmp_path / "out", data=known, target=stage)

    assert draft.reference is not None
    assert draft.reference.kind == "object"
    assert draft.evaluations[-1].metrics["label_agreement"] == 1
    assert_served_alike(tmp_path / "out", model, patients(2)[0])


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_regressors_in_memory_answer_as_their_predict_does(make: Callable[[], Any], tmp_path: Path) -> None:
    known, stage = patients(3)
    model = make().fit(known, (stage > 1).astype(np.float64))

    convert(model, tmp_path / "out", data=known, target=(stage > 1).astype(np.float64))

    assert_served_alike(tmp_path / "out", model, patients(4)[0])


@pytest.mark.representative
def test_lightgbm_knows_the_values_of_its_classes(tmp_path: Path) -> None:
    known, stage = patients(5)
    model = lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1).fit(known, stage + 1)
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    known.assign(stage=stage + 1).to_csv(tmp_path / "data.csv", index=False)

    draft = convert(path, tmp_path / "out", data=tmp_path / "data.csv", target="stage", trust=True)

    assert draft.reference == ReferenceOrigin("object", "LightGBM", lightgbm.__version__)
    assert draft.evaluations[0].metrics["accuracy"] == model.score(known, stage + 1)
    fresh, _ = patients(6)
    answers = trained.served_model(tmp_path / "out").predict(columns_of(fresh), "columns")
    assert set(answers["label"].tolist()) == {1, 2, 3, 4}
    assert answers["label"].tolist() == model.predict(fresh).tolist()


@pytest.mark.parametrize("make", [CLASSIFIERS["LightGBM"], CLASSIFIERS["CatBoost"]], ids=["LightGBM", "CatBoost"])
def test_texts_are_classes(make: Callable[[], Any], tmp_path: Path) -> None:
    known, stage = patients(7)
    model = make().fit(known, np.array(["I", "II", "III", "IV"])[stage])
    draft = convert(model, tmp_path / "out", data=known)
    assert draft.labels == ("I", "II", "III", "IV")
    assert_served_alike(tmp_path / "out", model, patients(8)[0])


@pytest.mark.parametrize("restored", ["in memory", "joblib", "skops"])
def test_xgboost_knows_which_number_is_a_missing_value(restored: str, tmp_path: Path) -> None:
    known, stage = patients(9, missing=SENTINEL)
    model = xgboost.XGBClassifier(n_estimators=8, missing=SENTINEL, n_jobs=1).fit(known, stage)
    source: Any = model
    if restored == "joblib":
        source = tmp_path / "model.joblib"
        joblib.dump(model, source)
    elif restored == "skops":
        source = tmp_path / "model.skops"
        skops.io.dump(model, source)

    convert(source, tmp_path / "out", data=known, target=stage, trust=True)

    fresh, _ = patients(10, missing=SENTINEL)
    assert_served_alike(tmp_path / "out", model, fresh)
    # it matters: as a number it would go another way
    other = xgboost.XGBClassifier(n_estimators=8, n_jobs=1)
    model.save_model(tmp_path / "model.ubj")
    other.load_model(tmp_path / "model.ubj")
    assert (other.predict(fresh) != model.predict(fresh)).any()


def test_without_data_the_number_for_missing_values_is_among_the_rows(tmp_path: Path) -> None:
    known, stage = patients(11, missing=SENTINEL)
    model = xgboost.XGBClassifier(n_estimators=8, missing=SENTINEL, n_jobs=1).fit(known, stage)
    convert(model, tmp_path / "out")
    assert_served_alike(tmp_path / "out", model, patients(12, missing=SENTINEL)[0].astype(np.float32))


@pytest.mark.parametrize("kind", ["XGBoost", "LightGBM", "CatBoost"])
def test_the_best_round_is_kept(kind: str, tmp_path: Path) -> None:
    known, stage = patients(13, rows=200)
    judging, judged = patients(14, rows=200)
    noisy = np.random.default_rng(0).permutation(stage)
    if kind == "XGBoost":
        model = xgboost.XGBClassifier(n_estimators=ROUNDS, early_stopping_rounds=20, learning_rate=0.5, n_jobs=1)
        model.fit(known, noisy, eval_set=[(judging, judged)], verbose=False)
        best = model.best_iteration + 1
        assert best < model.get_booster().num_boosted_rounds()
    elif kind == "LightGBM":
        model = lightgbm.LGBMClassifier(n_estimators=ROUNDS, learning_rate=0.5, n_jobs=1, verbose=-1)
        model.fit(
            known, noisy, eval_X=(judging,), eval_y=(judged,), callbacks=[lightgbm.early_stopping(20, verbose=False)]
        )
        best = model.best_iteration_
    else:
        model = catboost.CatBoostClassifier(
            iterations=ROUNDS, learning_rate=0.5, verbose=0, allow_writing_files=False, thread_count=1
        ).fit(known, noisy, eval_set=(judging, judged), early_stopping_rounds=20)
        best = model.get_best_iteration() + 1
    assert best < ROUNDS
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)

    convert(path, tmp_path / "out", data=known, target=stage, trust=True)

    assert_served_alike(tmp_path / "out", model, patients(15)[0])


def test_models_of_arrays_are_asked_with_arrays(tmp_path: Path) -> None:
    features, target = load_wine(return_X_y=True)
    for make in CLASSIFIERS.values():
        model = make().fit(features, target)
        draft = convert(model, tmp_path / "out", data=features, target=target)
        assert draft.evaluations[-1].metrics["label_agreement"] == 1
        assert convert(model, tmp_path / "out").evaluations[-1].metrics["label_agreement"] == 1


def test_boosters_in_memory_answer_as_they_do(tmp_path: Path) -> None:
    known, stage = patients(16)
    ill = (stage > 1).astype(int)
    boosters = (
        xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(known, ill), 5),
        lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(known, ill), 5),
        catboost.CatBoost(
            {"loss_function": "Logloss", "iterations": 5, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
        ).fit(known, ill),
    )
    for booster in boosters:
        draft = convert(booster, tmp_path / "out", data=known, target=ill)
        assert draft.reference is not None
        assert draft.reference.kind == "object"
        assert draft.evaluations[-1].metrics["label_agreement"] == 1


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_what_was_never_fitted_is_refused(make: Callable[[], Any], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="was never fitted"):
        convert(make(), tmp_path / "out")


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_rows_that_the_model_refuses_are_refused_with_its_words(make: Callable[[], Any], tmp_path: Path) -> None:
    known, stage = patients(17)
    model = make().fit(known, stage)
    with pytest.raises(InvalidInputError):
        convert(model, tmp_path / "out", data=known.assign(count="many"), target=stage)
