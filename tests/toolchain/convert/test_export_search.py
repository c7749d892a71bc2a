"""The search for a graph that answers as the model does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert

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
    from onnxlet.values.manifest import Tolerance

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


@pytest.mark.parametrize("member", [SVC(), LinearSVC()], ids=["SVC", "LinearSVC"])
@pytest.mark.parametrize("classes", [2, 3])
def test_answers_of_another_shape_are_refused_by_their_shapes(member: SVC, classes: int, tmp_path: Path) -> None:
    # skl2onnx answers with one label for each member
    features, target = trained.blobs(classes=classes)
    bagged = BaggingClassifier(member, n_estimators=5, random_state=0)
    with pytest.raises(ConversionError, match=r"'label' has the shape \[5\] where \[120\] is expected"):
        trained.converted(tmp_path, bagged, features, target)


def test_what_is_farther_off_than_it_should_be_is_said(tmp_path: Path) -> None:
    features, target = trained.slopes()
    said: list[str] = []
    # ONNX Runtime has support vectors in single precision alone
    trained.converted(tmp_path, SVR(C=100, gamma=1e-3), features, target, on_progress=said.append)
    (reason,) = (line for line in said if line.startswith("no other way"))
    assert re.fullmatch(r"no other way to write the graph is better: in float32 answers are [\d.e-]+ off", reason)
