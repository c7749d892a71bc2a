"""Converting CatBoost models, oblivious trees and others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pytest

from drafts import classification_of, tabular_of
from frameworks.shipping import Shipped, complete, real_data
from onnxlet.errors import ConversionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.boosting

Ship = Callable[..., Shipped]

CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {
    "two classes": ("breast cancer", {}),
    "two classes by cross entropy": ("breast cancer", {"loss_function": "CrossEntropy"}),
    "three classes": ("wine", {}),
    "one against all": ("wine", {"loss_function": "MultiClassOneVsAll"}),
    "trees by depth": ("breast cancer", {"grow_policy": "Depthwise"}),
    "trees by loss, three classes": ("wine", {"grow_policy": "Lossguide"}),
    "missing values last": ("breast cancer", {"nan_mode": "Max"}),
}
REGRESSORS: dict[str, dict[str, Any]] = {
    "squared error": {},
    "quantile": {"loss_function": "Quantile:alpha=0.3"},
    "counts": {"loss_function": "Poisson"},
    "trees by loss, missing values last": {"grow_policy": "Lossguide", "nan_mode": "Max"},
}


def classifier(**parameters: Any) -> catboost.CatBoostClassifier:
    return catboost.CatBoostClassifier(
        iterations=10, depth=4, verbose=0, allow_writing_files=False, thread_count=1, **parameters
    )


def regressor(**parameters: Any) -> catboost.CatBoostRegressor:
    return catboost.CatBoostRegressor(
        iterations=30, depth=4, verbose=0, allow_writing_files=False, thread_count=1, **parameters
    )


def saved(model: Any, folder: Path, name: str = "model.cbm") -> Path:
    """The model in CatBoost's own format."""
    path = folder / name
    model.save_model(str(path))
    return path


@pytest.mark.parametrize("holes", [0, 0.1], ids=["complete", "with missing values"])
@pytest.mark.parametrize(("name", "parameters"), CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_answer_as_catboost_does(
    name: str, parameters: dict[str, Any], holes: float, tmp_path: Path
) -> None:
    data = real_data(name, tmp_path, holes=holes)
    source = saved(classifier(**parameters).fit(data.features, data.target), tmp_path)
    for known in ({"data": data.path, "target": "target"}, {}):
        metrics = convert(source, tmp_path / "out", **known).evaluations[-1].metrics  # type: ignore[arg-type]
        assert metrics["label_agreement"] == 1
        assert metrics["largest_relative_distance"] <= 1e-6


@pytest.mark.parametrize("parameters", REGRESSORS.values(), ids=REGRESSORS)
def test_regressors_answer_as_their_predict_does(parameters: dict[str, Any], tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path, holes=0.1)
    model = regressor(**parameters).fit(data.features, data.target)
    draft = convert(saved(model, tmp_path), tmp_path / "out", data=data.path, target="target")
    assert draft.evaluations[-1].metrics["largest_relative_distance"] <= 1e-6
    assert draft.signature.outputs == (TensorSpec("prediction", "FP32", (-1,)),)
    engine = load_engine(tmp_path / "out" / "model.onnx", threads=1, optimized=False, run_deadline=10)
    answers = engine.run({"features": data.features.astype(np.float32)})
    np.testing.assert_allclose(answers["prediction"], model.predict(data.features), rtol=1e-6)


@pytest.mark.representative
def test_a_classifier_answers_through_the_handler_with_a_plain_tensor(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("wine", tmp_path)
    model = classifier().fit(data.features, data.target)
    shipped = shipping(saved(model, tmp_path), data)
    rows = complete(data, 20)
    answers = shipped.predict(data)
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(rows), rtol=1e-6)
    assert answers["label"].tolist() == model.predict(rows).reshape(-1).tolist()
    # its own exporter gives a sequence of maps
    assert shipped.manifest.graph.outputs[1] == TensorSpec("probabilities", "FP32", (-1, 3))
    assert shipped.manifest.provenance.versions["catboost"] == catboost.__version__


def test_a_regressor_answers_through_the_handler(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path)
    model = regressor().fit(data.features, data.target)
    answers = shipping(saved(model, tmp_path), data).predict(data)
    np.testing.assert_allclose(answers["prediction"], model.predict(complete(data, 20)), rtol=1e-6)


def test_texts_are_classes_of_their_own(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    names = np.array(["malignant", "benign"])
    model = classifier().fit(data.features, names[data.target])
    shipped = shipping(saved(model, tmp_path))
    assert shipped.draft.labels == ("benign", "malignant")
    numbered = replace(data, names=[f"x{index}" for index in range(30)])
    assert shipped.predict(numbered)["label"].tolist() == model.predict(data.features[:20]).tolist()


def test_booleans_are_0_and_1(tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    source = saved(classifier().fit(data.features, data.target.astype(bool)), tmp_path)
    draft = convert(source, tmp_path / "out", data=data.path, target="target")
    assert classification_of(draft).classes == (0, 1)
    assert draft.evaluations[-1].metrics["label_agreement"] == 1


def test_several_numbers_and_names_of_columns(tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path)
    pool = catboost.Pool(data.features, np.stack([data.target, -data.target], axis=1), feature_names=data.names)
    draft = convert(saved(regressor(loss_function="MultiRMSE").fit(pool), tmp_path), tmp_path / "out", data=data.path)
    assert draft.signature.outputs == (TensorSpec("prediction", "FP32", (-1, 2)),)
    assert [column.name for column in tabular_of(draft).columns] == data.names


def test_a_json_file_is_read_as_well(tmp_path: Path) -> None:
    data = real_data("iris", tmp_path)
    path = tmp_path / "model.json"
    classifier().fit(data.features, data.target).save_model(str(path), format="json")
    assert convert(path, tmp_path / "out").provenance.framework == "CatBoost"


def test_fractions_as_classes_are_refused(tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    fractions = classifier().fit(data.features, data.target * 1.5)
    with pytest.raises(ConversionError, match="class values must be whole numbers or texts"):
        convert(saved(fractions, tmp_path), tmp_path / "out")


def test_what_catboost_itself_exports_is_refused_with_advice_that_helps(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path)
    model = classifier().fit(data.features, data.target)
    model.save_model(str(tmp_path / "catboost.onnx"), format="onnx")
    with pytest.raises(RejectedModelError, match=r"only tensors are served: .*save_model\('model\.cbm'\)"):
        prepare(tmp_path / "catboost.onnx", tmp_path / "work")
    assert shipping(saved(model, tmp_path), data).manifest.golden is not None


@pytest.mark.parametrize("share", [0.001, 0.3, 0.95])
def test_a_damaged_file_is_refused(share: float, tmp_path: Path) -> None:
    data = real_data("wine", tmp_path)
    path = saved(classifier().fit(data.features, data.target), tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ConversionError, match="is no CatBoost model, or not all of it"):
        convert(path, tmp_path / "out")


def test_columns_that_do_not_match_are_refused(tmp_path: Path) -> None:
    data, other = real_data("wine", tmp_path), real_data("iris", tmp_path)
    source = saved(classifier().fit(data.features, data.target), tmp_path)
    with pytest.raises(InvalidInputError, match="has 4 columns of features, the CatBoost model wants 13"):
        convert(source, tmp_path / "out", data=other.path, target="target")
