"""Converting XGBoost models: to the last bit where XGBoost's own steps can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from drafts import tabular_of
from frameworks.shipping import Array, Shipped, complete, real_data
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.boosting

Ship = Callable[..., Shipped]

CLASSIFIERS = {
    "two classes": ("breast cancer", {}),
    "three classes": ("wine", {}),
    "three classes by softmax": ("wine", {"objective": "multi:softmax"}),
    "dart": ("breast cancer", {"booster": "dart", "rate_drop": 0.5}),
    "an intercept": ("breast cancer", {"base_score": 0.9}),
    "a forest per round": ("wine", {"num_parallel_tree": 4, "subsample": 0.5}),
}
REGRESSORS = {
    "squared error": {},
    "absolute error": {"objective": "reg:absoluteerror"},
    "counts": {"objective": "count:poisson"},
    "gamma": {"objective": "reg:gamma"},
    "tweedie": {"objective": "reg:tweedie"},
}


def saved(model: Any, folder: Path, name: str = "model.ubj") -> Path:
    """The model in XGBoost's own format for the name."""
    path = folder / name
    model.save_model(path)
    return path


def trained_to_early_stopping(folder: Path) -> tuple[xgboost.XGBClassifier, Any]:
    data = real_data("breast cancer", folder)
    model = xgboost.XGBClassifier(n_estimators=50, early_stopping_rounds=2, learning_rate=0.9)
    model.fit(data.features[:300], data.target[:300], eval_set=[(data.features[300:], data.target[300:])], verbose=0)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    return model, data


def booster_of(parameters: dict[str, Any], features: Array, target: Array) -> xgboost.Booster:
    return xgboost.train(parameters, xgboost.DMatrix(features, target), 5)


@pytest.mark.parametrize("holes", [0, 0.1], ids=["complete", "with missing values"])
@pytest.mark.parametrize(("name", "parameters"), CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_answer_as_the_booster_does(
    name: str, parameters: dict[str, Any], holes: float, tmp_path: Path
) -> None:
    data = real_data(name, tmp_path, holes=holes)
    model = xgboost.XGBClassifier(n_estimators=20, random_state=0, **parameters).fit(data.features, data.target)
    draft = convert(saved(model, tmp_path), tmp_path / "out", data=data.path, target="target")
    metrics = draft.evaluations[-1].metrics
    assert metrics["label_agreement"] == 1
    assert metrics["largest_relative_distance"] <= 1e-5
    assert draft.golden is not None


@pytest.mark.parametrize("parameters", REGRESSORS.values(), ids=REGRESSORS)
def test_regressors_answer_to_the_last_bits(parameters: dict[str, Any], tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path, holes=0.05)
    model = xgboost.XGBRegressor(n_estimators=50, **parameters).fit(data.features, data.target)
    draft = convert(saved(model, tmp_path, "model.json"), tmp_path / "out", data=data.path, target="target")
    assert draft.evaluations[-1].metrics["largest_relative_distance"] <= 1e-6


def test_whole_numbers_on_which_it_splits_leave_golden_cases(tmp_path: Path) -> None:
    data = real_data("digits", tmp_path)
    model = xgboost.XGBClassifier(n_estimators=20).fit(data.features, data.target)
    draft = convert(saved(model, tmp_path), tmp_path / "out", data=data.path, target="target")
    assert draft.golden is not None
    assert draft.golden.cases == 4


def test_a_classifier_answers_through_the_handler_as_its_wrapper_does(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    model = xgboost.XGBClassifier(n_estimators=20).fit(data.features, data.target)
    shipped = shipping(saved(model, tmp_path), data)
    rows = complete(data, 20)
    answers = shipped.predict(data)
    assert answers["label"].tolist() == model.predict(rows).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(rows), rtol=1e-5, atol=1e-7)
    assert shipped.manifest.provenance.framework == "XGBoost"
    assert shipped.manifest.provenance.versions["xgboost"] == xgboost.__version__


def test_a_regressor_answers_through_the_handler(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path)
    model = xgboost.XGBRegressor(n_estimators=20).fit(data.features, data.target)
    answers = shipping(saved(model, tmp_path), data).predict(data)
    np.testing.assert_allclose(answers["prediction"], model.predict(complete(data, 20)), rtol=1e-6)


def test_margins_are_added_up_in_the_same_order(tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path)
    # towards the end come trees without a split
    model = xgboost.XGBRegressor(n_estimators=300).fit(data.features, data.target)
    draft = convert(saved(model, tmp_path), tmp_path / "out", data=data.path, target="target")
    assert draft.evaluations[-1].metrics["largest_distance"] == 0


def test_a_regressor_may_predict_several_numbers(tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path)
    model = xgboost.XGBRegressor(n_estimators=5).fit(data.features, np.stack([data.target, -data.target], axis=1))
    draft = convert(saved(model, tmp_path), tmp_path / "out")
    assert draft.signature.outputs == (TensorSpec("prediction", "FP32", (-1, 2)),)


def test_a_model_that_learned_nothing_answers_alike(tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    booster = booster_of({"min_child_weight": 1e9, "objective": "binary:logistic"}, data.features, data.target)
    draft = convert(saved(booster, tmp_path), tmp_path / "out", data=data.path, target="target")
    assert draft.evaluations[-1].metrics["largest_distance"] < 1e-7


def test_hinge_loss_gives_labels_alone(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    model = xgboost.XGBClassifier(n_estimators=10, objective="binary:hinge").fit(data.features, data.target)
    answers = shipping(saved(model, tmp_path), data).predict(data)
    assert answers.keys() == {"label"}
    assert answers["label"].tolist() == model.predict(complete(data, 20)).tolist()


def test_columns_are_named_and_labels_are_given(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    frame = pd.DataFrame(data.features, columns=data.names)
    model = xgboost.XGBClassifier(n_estimators=5).fit(frame, data.target)
    source = saved(model, tmp_path)
    shipped = shipping(source, data, labels=("malignant", "benign"))
    tabular = tabular_of(shipped.draft)
    assert [column.name for column in tabular.columns] == data.names
    assert set(shipped.predict(data)["label"]) == {"malignant", "benign"}
    assert all(column.missing for column in tabular.columns), "what the trees can do with, though the data lacks none"
    blind = tabular_of(convert(source, tmp_path / "without data"))
    assert [column.name for column in blind.columns] == data.names
    assert all(column.missing for column in blind.columns), "what the trees can do with is what is known"


def test_missing_values_and_values_at_splits_go_the_same_way_without_any_data(tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path, holes=0.2)
    model = xgboost.XGBClassifier(n_estimators=30).fit(data.features, data.target)
    draft = convert(saved(model, tmp_path), tmp_path / "out")
    assert draft.evaluations[-1].metrics["label_agreement"] == 1
    engine = load_engine(tmp_path / "out" / "model.onnx", threads=1, optimized=False, run_deadline=10)
    answers = engine.run({"features": data.features.astype(np.float32)})
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(data.features), rtol=1e-5, atol=1e-7)


@pytest.mark.representative
def test_the_wrappers_file_predicts_with_the_best_round(shipping: Ship, tmp_path: Path) -> None:
    model, data = trained_to_early_stopping(tmp_path)
    said: list[str] = []
    shipped = shipping(saved(model, tmp_path), data, on_progress=said.append)
    expected = model.predict_proba(complete(data, 20))
    np.testing.assert_allclose(shipped.predict(data)["probabilities"], expected, rtol=1e-5, atol=1e-7)
    assert any("rounds best: these are taken" in sentence for sentence in said)


def test_the_boosters_file_predicts_with_all_rounds_and_says_so(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    held_out = xgboost.DMatrix(data.features[300:], data.target[300:])
    booster = xgboost.train(
        {"objective": "binary:logistic", "learning_rate": 0.9},
        xgboost.DMatrix(data.features[:300], data.target[:300]),
        50,
        evals=[(held_out, "test")],
        early_stopping_rounds=2,
        verbose_eval=False,
    )
    said: list[str] = []
    shipped = shipping(saved(booster, tmp_path), data, on_progress=said.append)
    expected = booster.predict(xgboost.DMatrix(complete(data, 20)))
    np.testing.assert_allclose(shipped.predict(data)["probabilities"][:, 1], expected, rtol=1e-5)
    assert any("Booster.predict takes all" in sentence for sentence in said)


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    data = real_data("wine", tmp_path)
    model = xgboost.XGBClassifier(n_estimators=2).fit(data.features, data.target)
    for kind in ("ubj", "json"):
        strange = saved(model, tmp_path, f"model.{kind}").rename(tmp_path / "model.bin")
        assert convert(strange, tmp_path / kind).provenance.framework == "XGBoost"


@pytest.mark.parametrize("name", ["model.ubj", "model.json"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_damaged_file_is_refused(name: str, share: float, tmp_path: Path) -> None:
    data = real_data("wine", tmp_path)
    path = saved(booster_of({}, data.features, data.target), tmp_path, name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ConversionError, match="is no XGBoost model, or not all of it"):
        convert(path, tmp_path / "out")


def test_a_dump_for_people_is_refused(tmp_path: Path) -> None:
    data = real_data("wine", tmp_path)
    path = tmp_path / "dump.json"
    booster_of({}, data.features, data.target).dump_model(path, dump_format="json")
    with pytest.raises(ConversionError, match="dump_model writes texts for people"):
        convert(path, tmp_path / "out")


def test_columns_that_do_not_match_are_named(tmp_path: Path) -> None:
    data, other = real_data("wine", tmp_path), real_data("iris", tmp_path)
    frame = pd.DataFrame(data.features, columns=data.names)
    named = saved(xgboost.XGBClassifier(n_estimators=2).fit(frame, data.target), tmp_path, "named.ubj")
    with pytest.raises(InvalidInputError, match="lacks the columns 'alcohol'"):
        convert(named, tmp_path / "out", data=other.path)
    numbered = saved(booster_of({}, data.features, data.target), tmp_path)
    with pytest.raises(InvalidInputError, match="has 4 columns of features, the XGBoost model wants 13"):
        convert(numbered, tmp_path / "out", data=other.path, target="target")


def test_infinities_and_texts_in_the_data_are_refused(tmp_path: Path) -> None:
    data = real_data("wine", tmp_path)
    source = saved(booster_of({}, data.features, data.target), tmp_path)
    lines = data.path.read_text().splitlines()
    for cell, said in (("inf", "XGBoost refuses the rows"), ("high", "holds a text, which is no number")):
        spoiled = tmp_path / "spoiled.csv"
        spoiled.write_text("\n".join([*lines[:5], cell + lines[5][lines[5].index(",") :]]))
        with pytest.raises(InvalidInputError, match=said):
            convert(source, tmp_path / "out", data=spoiled, target="target")
