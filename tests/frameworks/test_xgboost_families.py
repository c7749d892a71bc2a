"""XGBoost beyond one number per leaf: several outputs and labels, survival, ranking, forests, own objectives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

import trained
from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = pytest.mark.boosting

OPTIONS: dict[str, Any] = {"n_estimators": 8, "n_jobs": 1}
ALL_OUTPUTS: dict[str, Any] = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
MISSING = 0.1


def in_stages(illness: trained.Array) -> trained.Array:
    return np.digitize(illness, np.quantile(illness, [0.3, 0.7]))


def saved(model: Any, folder: Path) -> Path:
    model.save_model(folder / "model.ubj")
    return folder / "model.ubj"


def fresh_rows(seed: int) -> Any:
    """Patients nobody has seen, and numbers that no patient has."""
    frame, _ = patients(seed, missing=MISSING)
    for row, value in enumerate((0.0, 1e-6, -1e-6, 1e15, -1e15, np.nan)):
        frame.iloc[row] = value
        frame.iloc[10 + row, row % 4] = value
    return frame


def assert_served_alike(source: Any, folder: Path, data: Any, expected: Any, fresh: Any) -> None:
    """The served graph gives these predictions for fresh rows."""
    convert(source, folder, data=data)
    np.testing.assert_allclose(ask_served(folder, fresh)["prediction"], expected, rtol=1e-5, atol=1e-6)


SEVERAL: dict[str, Any] = {
    "targets": ({}, lambda illness: np.stack([illness, 100 - illness], axis=1)),
    "quantiles": ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, lambda illness: illness),
}


@pytest.mark.parametrize("strategy", [{}, ALL_OUTPUTS], ids=["a tree for each", "a tree for all"])
@pytest.mark.parametrize(("parameters", "target_of"), SEVERAL.values(), ids=SEVERAL)
def test_several_numbers_are_served_side_by_side(
    parameters: dict[str, Any], target_of: Any, strategy: dict[str, Any], tmp_path: Path
) -> None:
    known, illness = patients(1, missing=MISSING)
    model = xgboost.XGBRegressor(**OPTIONS, **parameters, **strategy).fit(known, target_of(illness))
    fresh = fresh_rows(2)
    for source in (model, saved(model, tmp_path)):
        assert_served_alike(source, tmp_path / "out", known, model.predict(fresh), fresh)


def test_trees_that_were_dropped_at_times_count_by_their_weights(tmp_path: Path) -> None:
    known, illness = patients(15, missing=MISSING)
    model = xgboost.XGBRegressor(booster="dart", rate_drop=0.4, **OPTIONS)
    model.fit(known, np.stack([illness, 100 - illness], axis=1))
    fresh = fresh_rows(16)
    for source in (model, saved(model, tmp_path)):
        assert_served_alike(source, tmp_path / "out", known, model.predict(fresh), fresh)


def test_trees_for_all_classes_give_their_probabilities(tmp_path: Path) -> None:
    known, illness = patients(3, missing=MISSING)
    model = xgboost.XGBClassifier(**OPTIONS, **ALL_OUTPUTS).fit(known, in_stages(illness))
    convert(model, tmp_path / "out", data=known)
    fresh = fresh_rows(4)
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-6)


@pytest.mark.parametrize("strategy", [{}, ALL_OUTPUTS], ids=["a tree for each", "a tree for all"])
def test_labels_that_do_not_exclude_each_other_are_served_one_by_one(strategy: dict[str, Any], tmp_path: Path) -> None:
    known, illness = patients(5, missing=MISSING)
    marks = np.stack([illness > 2, known["age"] > 60], axis=1).astype(int)
    model = xgboost.XGBClassifier(**OPTIONS, **strategy).fit(known, marks)

    convert(model, tmp_path / "unnamed", data=known)
    convert(saved(model, tmp_path), tmp_path / "of the file", data=known)
    named = known.assign(ill=marks[:, 0], old=marks[:, 1])
    draft = convert(model, tmp_path / "named", data=named, target=["ill", "old"])

    assert draft.outputs is not None
    assert draft.outputs.are == "independent"
    metrics = {each.metrics["label_agreement"] for each in draft.evaluations if "label_agreement" in each.metrics}
    assert metrics <= {1.0}
    fresh = fresh_rows(6)
    predicted, probabilities = model.predict(fresh), model.predict_proba(fresh)
    for folder, names in (("unnamed", ("y0", "y1")), ("of the file", ("y0", "y1")), ("named", ("ill", "old"))):
        served = ask_served(tmp_path / folder, fresh)
        for at, name in enumerate(names):
            assert served[f"label_{name}"].tolist() == predicted[:, at].tolist()
            np.testing.assert_allclose(served[f"probabilities_{name}"][:, 1], probabilities[:, at], atol=1e-6)


@pytest.mark.parametrize("distribution", ["normal", "logistic", "extreme", "cox"])
def test_survival_is_served_as_the_booster_tells_it(distribution: str, tmp_path: Path) -> None:
    known, illness = patients(7, missing=MISSING)
    time = np.exp(illness - 2)
    survived = np.arange(len(time)) % 5 == 0
    if distribution == "cox":
        rows = xgboost.DMatrix(known, np.where(survived, -time, time))
        parameters: dict[str, Any] = {"objective": "survival:cox"}
    else:
        rows = xgboost.DMatrix(known)
        rows.set_float_info("label_lower_bound", time)
        rows.set_float_info("label_upper_bound", np.where(survived, np.inf, time))
        parameters = {"objective": "survival:aft", "aft_loss_distribution": distribution}
    booster = xgboost.train(parameters | {"nthread": 1}, rows, 8)
    fresh = fresh_rows(8)
    for source in (booster, saved(booster, tmp_path)):
        assert_served_alike(source, tmp_path / "out", known, booster.predict(xgboost.DMatrix(fresh)), fresh)


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:pairwise", "rank:map"])
def test_rankers_give_the_scores_that_they_rank_by(objective: str, tmp_path: Path) -> None:
    known, illness = patients(9, missing=MISSING)
    relevance = in_stages(illness) if objective != "rank:map" else (in_stages(illness) > 1).astype(int)
    model = xgboost.XGBRanker(objective=objective, **OPTIONS).fit(known, relevance, qid=np.arange(len(known)) // 10)
    fresh = fresh_rows(10)
    for source in (model, saved(model, tmp_path)):
        assert_served_alike(source, tmp_path / "out", known, model.predict(fresh), fresh)


def test_margins_of_two_classes_are_served_as_such(tmp_path: Path) -> None:
    known, illness = patients(11, missing=MISSING)
    ill = (illness > 2).astype(int)
    booster = xgboost.train({"objective": "binary:logitraw", "nthread": 1}, xgboost.DMatrix(known, ill), 8)
    fresh = fresh_rows(12)
    for source in (booster, saved(booster, tmp_path)):
        assert_served_alike(source, tmp_path / "out", known, booster.predict(xgboost.DMatrix(fresh)), fresh)
    model = xgboost.XGBClassifier(objective="binary:logitraw", **OPTIONS).fit(known, ill)
    with pytest.raises(ConversionError, match=r"XGBClassifier was trained for 'binary:logitraw', .* binary:logistic"):
        convert(model, tmp_path / "refused", data=known)


def test_raw_scores_are_served_where_the_objective_is_a_function(tmp_path: Path) -> None:
    def pull_to_target(target: Any, predicted: Any) -> Any:
        return predicted - target, np.ones_like(predicted)

    known, illness = patients(13, missing=MISSING)
    model = xgboost.XGBRegressor(objective=pull_to_target, **OPTIONS).fit(known, illness)
    said: list[str] = []
    convert(model, tmp_path / "out", data=known, on_progress=said.append)
    assert any("raw scores are served" in line for line in said)
    fresh = fresh_rows(14)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)
