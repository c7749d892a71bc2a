"""CatBoost beyond trees of numbers: categories, losses of many kinds, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import trained
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.boosting.category_hashes import category_hash
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = pytest.mark.boosting

OPTIONS: dict[str, Any] = {
    "iterations": 15,
    "depth": 4,
    "verbose": 0,
    "allow_writing_files": False,
    "thread_count": 1,
    "random_seed": 1,
}
WARDS = ["", "A", "B,", 'C"é', "7"]
NAMES = ["ward", "code", "smoker", "number"]


def admissions(seed: int, *, unseen: bool = False) -> tuple[pd.DataFrame, trained.Array]:
    """Patients with texts, whole numbers and booleans as categories; with `unseen`, some that nobody knows."""
    frame, illness = patients(seed, 500, missing=0.1)
    random = np.random.default_rng(seed + 1000)
    frame["ward"] = np.array(WARDS, dtype=object)[random.integers(0, len(WARDS), len(frame))]
    frame["code"] = random.integers(-2, 4, len(frame))
    frame["smoker"] = random.random(len(frame)) < 0.4
    frame["number"] = random.choice([10**12, 10**12 + 1, 5], len(frame))
    illness = illness + frame["ward"].map(WARDS.index) % 3 + frame["code"] % 2 + frame["smoker"]
    illness = (illness + (frame["number"] == 10**12)).to_numpy()
    if unseen:
        frame.loc[random.random(len(frame)) < 0.1, "ward"] = "elsewhere"
        frame.loc[random.random(len(frame)) < 0.1, "code"] = 77
        frame.loc[random.random(len(frame)) < 0.1, "number"] = 10**12 + 2
    return frame, illness


def one_by_one(kind: Any = catboost.CatBoostClassifier, **options: Any) -> Any:
    return kind(cat_features=NAMES, one_hot_max_size=10, **OPTIONS, **options)


def saved(model: Any, folder: Path) -> Path:
    model.save_model(str(folder / "model.cbm"))
    return folder / "model.cbm"


@pytest.mark.parametrize("policy", ["SymmetricTree", "Lossguide"])
@pytest.mark.parametrize("source", ["estimator", "its own file", "a CSV file"])
def test_categories_that_are_split_one_by_one_are_told_by_the_data(source: str, policy: str, tmp_path: Path) -> None:
    known, illness = admissions(1)
    model = one_by_one(grow_policy=policy).fit(known, np.digitize(illness, np.quantile(illness, [0.3, 0.7])))
    known.to_csv(tmp_path / "data.csv", index=False)

    draft = convert(
        saved(model, tmp_path) if source == "its own file" else model,
        tmp_path / "out",
        data=tmp_path / "data.csv" if source == "a CSV file" else known,
    )

    datatypes = {spec.name: spec.datatype for spec in draft.signature.inputs}
    assert [datatypes[name] for name in NAMES] == ["BYTES", "INT64", "BOOL", "INT64"]
    fresh, _ = admissions(2, unseen=True)
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(fresh).reshape(-1).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-6)


def test_categories_of_pandas_and_of_arrays_are_found_too(tmp_path: Path) -> None:
    known, illness = admissions(3)
    fresh, _ = admissions(4)
    typed = known.astype({"ward": "category", "code": "category"})
    model = one_by_one(catboost.CatBoostRegressor).fit(typed, illness)
    # a few rows do: the column's type knows all categories of texts
    convert(model, tmp_path / "out", data=typed)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)

    matrix = known.to_numpy(dtype=object)
    model = catboost.CatBoostRegressor(cat_features=[4, 5, 6, 7], one_hot_max_size=10, **OPTIONS).fit(matrix, illness)
    for source in (model, saved(model, tmp_path)):
        convert(source, tmp_path / "of arrays", data=matrix)
        named = fresh.set_axis([f"x{index}" for index in range(8)], axis=1)
        served = ask_served(tmp_path / "of arrays", named)["prediction"]
        np.testing.assert_allclose(served, model.predict(fresh.to_numpy(dtype=object)), rtol=1e-5)


def test_data_without_one_of_the_categories_are_refused(tmp_path: Path) -> None:
    known, illness = admissions(5)
    model = one_by_one(catboost.CatBoostRegressor).fit(known, illness)
    with pytest.raises(InvalidInputError, match=r"lacks \d of the \d categories that the CatBoostRegressor .* 'ward'"):
        convert(model, tmp_path / "out", data=known[known["ward"] == "7"])
    with pytest.raises(InvalidInputError, match="keeps only hashes of the categories of 'ward', 'code'"):
        convert(model, tmp_path / "out")


@pytest.mark.parametrize("length", [0, 1, 3, 4, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 300])
def test_hashes_are_those_of_catboost(length: int) -> None:
    text = ("é" + "some ward, " * 30)[:length]
    # groups are told apart by the same hash
    (group,) = catboost.Pool(np.zeros((1, 1)), group_id=[text]).get_group_id_hash()
    assert category_hash(text) % 2**32 == int(group) % 2**32


def test_statistics_of_the_target_are_refused_by_name(tmp_path: Path) -> None:
    known, illness = admissions(6)
    model = catboost.CatBoostClassifier(cat_features=NAMES, one_hot_max_size=4, **OPTIONS).fit(known, illness > 3)
    with pytest.raises(ConversionError, match=r"CatBoostClassifier replaces .* 'ward'.*one_hot_max_size.*Encoder"):
        convert(model, tmp_path / "out", data=known)


def test_categories_within_a_pipeline_are_refused_by_name(tmp_path: Path) -> None:
    known, illness = admissions(7)
    model = make_pipeline(FunctionTransformer(), one_by_one()).fit(known, illness > 3)
    with pytest.raises(ConversionError, match=r"CatBoostClassifier reads categories, .*: convert it by itself"):
        convert(model, tmp_path / "out", data=known)


@pytest.mark.parametrize("kind", ["text", "embedding"])
def test_texts_and_embeddings_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    known, illness = patients(8, 300)
    random = np.random.default_rng(8)
    words = [" ".join(random.choice(["tired", "fever", "well", "cough"], 4)) for _ in illness]
    known["notes"] = words if kind == "text" else list(random.normal(size=(len(illness), 3)))
    model = catboost.CatBoostRegressor(**{f"{kind}_features": ["notes"]}, **OPTIONS).fit(known, illness)
    for source in (model, saved(model, tmp_path)):
        with pytest.raises(ConversionError, match=rf"CatBoostRegressor has {kind} features \('notes'\).* without"):
            convert(source, tmp_path / "out", data=known)


def counts(illness: trained.Array) -> trained.Array:
    rounded: trained.Array = np.exp(illness - 2).round()
    return rounded


LOSSES: dict[str, Any] = {
    "MultiQuantile:alpha=0.1,0.5,0.9": None,
    "MultiRMSE": lambda illness: np.stack([illness, -illness], axis=1),
    "MultiRMSEWithMissingValues": lambda illness: np.stack([illness, -illness], axis=1),
    "Poisson": counts,
    "Tweedie:variance_power=1.5": counts,
    "RMSEWithUncertainty": None,
    "Lq:q=2.5": None,
    "LogCosh": None,
    "RMSPE": None,
    "Cox": None,
    "SurvivalAft:dist=Normal": lambda illness: np.stack([illness, illness + 1], axis=1),
}


@pytest.mark.parametrize(("loss", "target_of"), LOSSES.items(), ids=LOSSES)
def test_losses_of_regressors_answer_as_their_predict_does(loss: str, target_of: Any, tmp_path: Path) -> None:
    known, illness = patients(9, missing=0.1)
    model = catboost.CatBoostRegressor(loss_function=loss, **OPTIONS)
    model.fit(known, illness if target_of is None else target_of(illness))
    fresh, _ = patients(10, missing=0.1)
    for source in (model, saved(model, tmp_path)):
        convert(source, tmp_path / "out", data=known)
        np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)


@pytest.mark.parametrize("loss", ["YetiRank", "PairLogit", "QueryRMSE", "StochasticRank:metric=NDCG"])
def test_rankers_give_the_scores_that_they_rank_by(loss: str, tmp_path: Path) -> None:
    known, illness = patients(11)
    model = catboost.CatBoostRanker(loss_function=loss, **OPTIONS)
    model.fit(known, np.clip(illness, 0, 4) / 4, group_id=np.arange(len(known)) // 10)
    convert(model, tmp_path / "out", data=known)
    fresh, _ = patients(12)
    np.testing.assert_allclose(
        ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5, atol=1e-7
    )


class Squares:
    """A loss of the user's."""

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        del weights
        return [(targets[index] - approxes[index], -1.0) for index in range(len(targets))]


@pytest.mark.filterwarnings("ignore:Failed to import numba")
@pytest.mark.filterwarnings("ignore:Failed to optimize method")
def test_raw_scores_are_served_where_the_loss_is_the_users(tmp_path: Path) -> None:
    known, illness = patients(13)
    model = catboost.CatBoostRegressor(loss_function=Squares(), eval_metric="RMSE", **OPTIONS).fit(known, illness)
    said: list[str] = []
    convert(model, tmp_path / "out", data=known, on_progress=said.append)
    assert any("raw scores are served" in line for line in said)
    fresh, _ = patients(14)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)


def test_focal_loss_gives_classes_and_probabilities(tmp_path: Path) -> None:
    known, illness = patients(15)
    model = catboost.CatBoostClassifier(loss_function="Focal:focal_alpha=0.5;focal_gamma=2", **OPTIONS)
    model.fit(known, (illness > 2).astype(int))
    fresh, _ = patients(16)
    for source in (model, saved(model, tmp_path)):
        convert(source, tmp_path / "out", data=known)
        served = ask_served(tmp_path / "out", fresh)
        assert served["label"].tolist() == model.predict(fresh).tolist()
        np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-6)


@pytest.mark.parametrize("loss", ["MultiLogloss", "MultiCrossEntropy"])
def test_labels_that_do_not_exclude_each_other_are_served_one_by_one(loss: str, tmp_path: Path) -> None:
    known, illness = patients(17, missing=0.1)
    marks = np.stack([illness > 2, known["age"] > 60, illness > 3], axis=1).astype(int)
    model = catboost.CatBoostClassifier(loss_function=loss, **OPTIONS).fit(known, marks)
    fresh, _ = patients(18, missing=0.1)
    predicted, probabilities = model.predict(fresh), model.predict_proba(fresh)
    for source in (model, saved(model, tmp_path)):
        convert(source, tmp_path / "out", data=known)
        served = ask_served(tmp_path / "out", fresh)
        for at in range(3):
            assert served[f"label_y{at}"].tolist() == predicted[:, at].tolist()
            np.testing.assert_allclose(served[f"probabilities_y{at}"][:, 1], probabilities[:, at], atol=1e-6)
