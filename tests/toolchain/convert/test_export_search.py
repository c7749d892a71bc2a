"""The search for a graph that answers as the model does."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.datasets import load_breast_cancer
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.conversion import Conversion
from onnxlet.toolchain.convert.graph_edits import rename_value
from onnxlet.toolchain.convert.scikit_learn.model import Estimator
from onnxlet.toolchain.convert.trained_model import Export, ModelRows
from onnxlet.values.manifest import Tolerance

pytestmark = pytest.mark.toolchain


def test_splits_between_two_float32_values_are_kept_by_doubles(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = random.normal(1e4, 1, size=(400, 4))
    target = (features.sum(axis=1) > 4e4).astype(int)

    draft = trained.converted(
        tmp_path, make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)), features, target
    )

    assert draft.signature.inputs[0].datatype == "FP64"
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_other_answers_are_refused_with_what_was_measured(tmp_path: Path) -> None:
    features, target = trained.blobs()
    with pytest.raises(
        ConversionError, match=r"in float32 answers differ by up to .* on 120 rows|120 rows: in float32"
    ):
        trained.converted(tmp_path, GaussianNB(), features, target, tolerance=Tolerance(absolute=0.0, relative=0.0))
    assert not (tmp_path / "out").exists()


def test_double_precision_is_taken_where_single_is_far_and_double_is_near(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features, target = random.integers(0, 16, (120, 64)).astype(float), random.integers(0, 3, 120)
    said: list[str] = []

    draft = trained.converted(tmp_path, MultinomialNB(), features, target, on_progress=said.append)

    assert draft.graph.inputs[0].datatype == "FP64"
    assert draft.evaluations[-1].metrics["largest_distance"] < 1e-9
    (reason,) = (line for line in said if line.startswith("taking"))
    assert reason == "taking float64: in float32 answers are 0.0002 off"


def test_double_precision_is_taken_where_saturated_probabilities_lose_their_order(tmp_path: Path) -> None:
    # its features say one thing many times over, so that naive Bayes is sure of everything
    features, target = load_breast_cancer(return_X_y=True)
    path = trained.saved(trained.fitted(GaussianNB(), features[::2], target[::2]), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features[1::2], target[1::2])
    said: list[str] = []

    draft = convert(path, tmp_path / "out", data=data, target="target", trust=True, on_progress=said.append)

    assert draft.graph.inputs[0].datatype == "FP64"
    source, onnx = (evaluation.metrics["auc"] for evaluation in draft.evaluations)
    assert source - onnx < 1e-6
    (reason,) = (line for line in said if line.startswith("taking"))
    assert "the accuracy contract would not hold: auc loss" in reason


class Shortened(Estimator):
    """An estimator whose graphs give the labels of the first five rows alone."""

    def export(self, rows: ModelRows, labels: Any) -> Iterator[Export]:  # noqa: ANN401
        """All variants, spoiled."""
        for export in super().export(rows, labels):
            model = onnx.load_from_string(export.graph)
            rename_value(model.graph, "label", "all_labels")
            model.graph.output[0].name = "label"
            for name, value in (("start", 0), ("end", 5)):
                model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value]), name))
            model.graph.node.append(onnx.helper.make_node("Slice", ["all_labels", "start", "end"], ["label"]))
            yield dataclasses.replace(export, graph=model.SerializeToString())


@pytest.mark.parametrize("classes", [2, 3])
def test_answers_of_another_shape_are_refused_by_their_shapes(classes: int, tmp_path: Path) -> None:
    features, target = trained.blobs(classes=classes)
    estimator: Any = Shortened(LinearSVC().fit(features, target), lambda _: None)
    conversion = Conversion(estimator, None, (), Tolerance(), None, lambda _: None)
    given: dict[str, Any] = {"data": features, "target": target, "expected": None, "judge": None}
    with pytest.raises(ConversionError, match=r"'label' has the shape \[5\] where \[120\] is expected"):
        conversion.write(tmp_path / "out", **given, golden_from="synthetic")


def test_what_is_farther_off_than_it_should_be_is_said(tmp_path: Path) -> None:
    features, target = trained.slopes()
    said: list[str] = []
    # ONNX Runtime has support vectors in single precision alone
    trained.converted(tmp_path, SVR(C=100, gamma=1e-3), features, target, on_progress=said.append)
    (reason,) = (line for line in said if line.startswith("no other way"))
    assert re.fullmatch(r"no other way to write the graph is better: in float32 answers are [\d.e-]+ off", reason)
