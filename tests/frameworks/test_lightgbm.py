"""Converting LightGBM models: doubles are compared as it compares them, and missing values and zeros go its way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from drafts import tabular_of
from frameworks.shipping import Shipped, complete, real_data, table
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.values.signature import TensorSpec
from toolchain.convert.scikit_learn.patients import ask_served

pytestmark = pytest.mark.boosting

Ship = Callable[..., Shipped]

CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {
    "two classes": ("breast cancer", {}),
    "three classes": ("wine", {}),
    "one against all": ("wine", {"objective": "multiclassova", "sigmoid": 2.5}),
    "a forest": ("breast cancer", {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}),
    "no missing values": ("breast cancer", {"use_missing": False}),
    "zeros are missing": ("digits", {"zero_as_missing": True}),
}
REGRESSORS: dict[str, dict[str, Any]] = {
    "squared error": {},
    "absolute error": {"objective": "l1"},
    "counts": {"objective": "poisson"},
    "dart": {"boosting_type": "dart"},
    "square roots": {"objective": "regression", "reg_sqrt": True},
    "a forest": {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
}


def classifier(**parameters: Any) -> lightgbm.LGBMClassifier:
    return lightgbm.LGBMClassifier(n_estimators=6, verbose=-1, n_jobs=1, **parameters)


def regressor(**parameters: Any) -> lightgbm.LGBMRegressor:
    return lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1, **parameters)


def saved(model: Any, folder: Path, name: str = "model.txt") -> Path:
    """The model as LightGBM's text."""
    path = folder / name
    model.booster_.save_model(path)
    return path


@pytest.mark.parametrize("holes", [0, 0.1], ids=["complete", "with missing values"])
@pytest.mark.parametrize(("name", "parameters"), CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_answer_as_the_booster_does(
    name: str, parameters: dict[str, Any], holes: float, tmp_path: Path
) -> None:
    data = real_data(name, tmp_path, rows=300, holes=holes)
    source = saved(classifier(**parameters).fit(data.features, data.target), tmp_path)
    labels = tuple(map(str, np.unique(data.target)))
    for known in ({"data": data.path, "target": "target"}, {"labels": labels}):
        metrics = convert(source, tmp_path / "out", **known).evaluations[-1].metrics
        assert metrics["label_agreement"] == 1
        assert metrics["largest_relative_distance"] <= 1e-6


@pytest.mark.parametrize("parameters", REGRESSORS.values(), ids=REGRESSORS)
def test_regressors_answer_as_the_booster_does(parameters: dict[str, Any], tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path, holes=0.05)
    source = saved(regressor(**parameters).fit(data.features, data.target), tmp_path)
    for known in ({"data": data.path, "target": "target"}, {}):
        draft = convert(source, tmp_path / "out", **known)  # type: ignore[arg-type]
        assert draft.evaluations[-1].metrics["largest_relative_distance"] <= 1e-6
        assert draft.signature.outputs == (TensorSpec("prediction", "FP64", (-1,)),)


@pytest.mark.representative
def test_a_classifier_answers_through_the_handler_under_its_columns_names(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    frame = pd.DataFrame(data.features, columns=data.names)
    model = classifier().fit(frame, data.target)
    shipped = shipping(saved(model, tmp_path), data, labels=("malignant", "benign"))
    # LightGBM's file has mean_radius for "mean radius"
    tabular = tabular_of(shipped.draft)
    assert [column.name for column in tabular.columns] == data.names
    # its own exporter declares a label of shape [1]
    assert shipped.manifest.graph.outputs[0] == TensorSpec("label", "INT64", (-1,))
    answers = shipped.predict(data)
    expected = model.predict_proba(frame.iloc[:20])
    np.testing.assert_allclose(answers["probabilities"], expected, rtol=1e-6)
    assert answers["label"].tolist() == [("malignant", "benign")[index] for index in expected.argmax(axis=1)]
    assert shipped.manifest.provenance.versions["lightgbm"] == lightgbm.__version__


def test_a_regressor_answers_through_the_handler(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path)
    model = regressor().fit(data.features, data.target)
    answers = shipping(saved(model, tmp_path), data).predict(data)
    np.testing.assert_allclose(answers["prediction"], model.predict(complete(data, 20)), rtol=1e-6)


def test_values_that_only_doubles_tell_apart_get_double_inputs(shipping: Ship, tmp_path: Path) -> None:
    fine = np.arange(400)[:, None] * 1e-9 + 1
    data = table(["concentration"], fine, (np.arange(400) >= 200).astype(int), tmp_path / "fine.csv")
    model = classifier(min_child_samples=5).fit(data.features, data.target)
    shipped = shipping(saved(model, tmp_path), data)
    tabular = tabular_of(shipped.draft)
    assert tabular.columns[0].datatype == "FP64"
    assert shipped.agreement() == 1
    assert shipped.predict(data, rows=400)["label"].tolist() == model.predict(data.features).tolist()


def test_what_rounding_takes_across_a_threshold_gets_double_inputs(tmp_path: Path) -> None:
    # 0.1 in single precision is greater than 0.1 in double precision
    single = float(np.float32(0.1))
    features = np.repeat([0.1, single, 0.2], 40)[:, None]
    model = classifier(min_child_samples=5).fit(features, np.repeat([0, 1, 1], 40))
    convert(saved(model, tmp_path), tmp_path / "out", labels=("0", "1"))
    engine = load_engine(tmp_path / "out" / "model.onnx", threads=1, optimized=False, run_deadline=10)
    rows = np.array([[0.1], [single], [0.2]])
    np.testing.assert_allclose(engine.run({"features": rows})["probabilities"], model.predict_proba(rows), rtol=1e-6)


def test_whole_numbers_and_halves_between_them_stay_in_single_precision(tmp_path: Path) -> None:
    features = np.random.default_rng(0).integers(0, 50, (300, 3)).astype(np.float64)
    model = regressor().fit(features, features @ [1, -2, 3])
    draft = convert(saved(model, tmp_path), tmp_path / "out")
    assert tabular_of(draft).columns[0].datatype == "FP32"


@pytest.mark.parametrize("tiny", [-1e-30, -1e-35, -1e-40, 0, 1e-40, 1e-35, 1e-30])
def test_values_as_good_as_zero_go_the_way_of_zero(tiny: float, tmp_path: Path) -> None:
    features = np.repeat([-1.0, 0.0, 1.0], 40)[:, None]
    target = np.repeat([0.0, 5.0, 9.0], 40)
    for missing in ({}, {"zero_as_missing": True}):
        model = regressor(min_child_samples=5, **missing).fit(features, target)
        convert(saved(model, tmp_path), tmp_path / "out")
        engine = load_engine(tmp_path / "out" / "model.onnx", threads=1, optimized=False, run_deadline=10)
        rows = np.array([[tiny], [-1.0], [1.0]], dtype=engine.signature.inputs[0].type.numpy)
        np.testing.assert_allclose(engine.run({"features": rows})["prediction"], model.predict(rows), rtol=1e-6)


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    data = real_data("iris", tmp_path)
    source = saved(classifier().fit(data.features, data.target), tmp_path, "model.model")
    assert convert(source, tmp_path / "out", labels=("0", "1", "2")).provenance.framework == "LightGBM"


def test_unknown_objectives_are_refused(tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path)
    source = saved(regressor().fit(data.features, data.target), tmp_path)
    source.write_text(source.read_text().replace("objective=regression", "objective=strange"))
    with pytest.raises(ConversionError, match="'strange' has no ONNX form here"):
        convert(source, tmp_path / "out")


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6])
def test_a_damaged_file_is_refused_and_takes_nothing_down(share: float, tmp_path: Path) -> None:
    data = real_data("wine", tmp_path)
    path = saved(classifier().fit(data.features, data.target), tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ConversionError, match="is no LightGBM model, or not all of it"):
        convert(path, tmp_path / "out")


def test_a_tree_that_lacks_a_number_is_refused_and_takes_nothing_down(tmp_path: Path) -> None:
    data = real_data("wine", tmp_path)
    path = saved(classifier().fit(data.features, data.target), tmp_path)
    text = path.read_text()
    start = text.index("threshold=")
    path.write_text(text[:start] + "threshold=1.5" + text[text.index("\n", start) :])
    with pytest.raises(ConversionError, match="threshold has 1 values, not"):
        convert(path, tmp_path / "out")


def test_columns_that_do_not_match_are_named(tmp_path: Path) -> None:
    data, other = real_data("wine", tmp_path), real_data("iris", tmp_path)
    frame = pd.DataFrame(data.features, columns=data.names)
    with pytest.raises(InvalidInputError, match="lacks the columns 'alcohol', 'malic_acid'"):
        convert(saved(classifier().fit(frame, data.target), tmp_path), tmp_path / "out", data=other.path)
    source = saved(classifier().fit(data.features, data.target), tmp_path)
    with pytest.raises(InvalidInputError, match="has 4 columns of features, the LightGBM model wants 13"):
        convert(source, tmp_path / "out", data=other.path, target="target")


def test_decimals_halfway_between_those_that_it_was_fitted_on_fall_on_the_side_that_they_did(tmp_path: Path) -> None:
    def readings(seed: int, scale: Any) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        return pd.DataFrame({name: random.choice(scale, 500) for name in ("fever", "pulse")})

    # 39.01 lies between 39 and 39.02, and so does a threshold: single precision rounds it to another side
    scale = np.round(39 + np.arange(100) / 100, 2)
    known = readings(1, scale[::2])
    model = lightgbm.LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1).fit(
        known, known["fever"] + known["pulse"] % 0.4
    )

    convert(model, tmp_path / "out", data=readings(2, scale[::2]))

    fresh = readings(3, scale)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-6)
