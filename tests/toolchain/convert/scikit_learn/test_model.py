"""Estimators as they are converted: the same answers, classes and labels, or why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import ClassifierChain
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelPropagation
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from drafts import classification_of
from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.toolchain


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: LogisticRegression(max_iter=500),
    "scaler and perceptron": lambda: make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=50, random_state=0)),
    "support vectors with probabilities": lambda: SVC(probability=True, random_state=0),
    "decision tree": lambda: DecisionTreeClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "scaler and forest": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=5, random_state=0),
    "histogram gradient boosting": lambda: HistGradientBoostingClassifier(max_iter=5, random_state=0),
    "neighbours": KNeighborsClassifier,
    "naive Bayes": GaussianNB,
    "calibrated": lambda: CalibratedClassifierCV(LinearSVC(random_state=0)),
}


REGRESSORS: dict[str, Callable[[], Any]] = {
    "linear": LinearRegression,
    "scaler and support vectors": lambda: make_pipeline(StandardScaler(), SVR()),
    "forest": lambda: RandomForestRegressor(10, random_state=0),
    "scaler and forest": lambda: make_pipeline(StandardScaler(), RandomForestRegressor(10, random_state=0)),
    "histogram gradient boosting": lambda: HistGradientBoostingRegressor(max_iter=5, random_state=0),
}


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS.keys())
@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers_answer_as_they_did(tmp_path: Path, make: Callable[[], Any], classes: int) -> None:
    features, target = trained.blobs(classes=classes)
    estimator = make()

    trained.converted(tmp_path, estimator, features, target)

    answers = trained.served_model(tmp_path / "out").predict(
        {f"feature {i}": features[:, i] for i in range(4)}, "columns"
    )
    label, probabilities = estimator.predict(features), estimator.predict_proba(features)
    np.testing.assert_array_equal(answers["label"], label)
    np.testing.assert_allclose(answers["probabilities"], probabilities, atol=1e-4)
    np.testing.assert_allclose(answers["probability"], probabilities[np.arange(len(label)), label], atol=1e-4)


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS.keys())
def test_regressors_answer_as_they_did(tmp_path: Path, make: Callable[[], Any]) -> None:
    features, target = trained.slopes()
    estimator = make()

    draft = trained.converted(tmp_path, estimator, features, target)

    assert draft.signature.outputs[0].shape == (-1,)
    answers = trained.served_model(tmp_path / "out").predict(
        {f"feature {i}": features[:, i] for i in range(4)}, "columns"
    )
    np.testing.assert_allclose(answers["prediction"], estimator.predict(features), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("estimator", [SVC(), LinearSVC(random_state=0), GridSearchCV(SVC(), {"C": [1.0, 2.0]}, cv=2)])
def test_classifiers_without_probabilities_have_none(tmp_path: Path, estimator: Any) -> None:  # noqa: ANN401
    features, target = trained.blobs(classes=2)

    draft = trained.converted(tmp_path, estimator, features, target)

    outputs = (TensorSpec("label", "INT64", (-1,)), TensorSpec("decision", "FP32", (-1,)))
    assert draft.signature.outputs == draft.graph.outputs == outputs
    assert classification_of(draft).probabilities is None


def test_several_targets_keep_their_shape(tmp_path: Path) -> None:
    features, target = trained.slopes()
    estimator = trained.fitted(RandomForestRegressor(5, random_state=0), features, np.stack([target, -target], axis=1))

    draft = convert(
        trained.saved(estimator, tmp_path),
        tmp_path / "out",
        data=trained.csv_of(tmp_path / "data.csv", features, None),
        trust=True,
    )

    assert draft.signature.outputs == (TensorSpec("prediction", "FP32", (-1, 2)),)


def test_text_classes_are_their_own_labels(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)

    estimator = LogisticRegression()

    draft = trained.converted(tmp_path, estimator, features, np.array(["no", "yes"])[target])

    assert draft.labels == ("no", "yes")
    assert draft.signature.outputs[0].datatype == "BYTES"
    answers = trained.served_model(tmp_path / "out").predict({"features": features[:3].astype(np.float32)})
    assert answers["label"].tolist() == estimator.predict(features[:3]).tolist()


@pytest.mark.parametrize("of_class", [float, lambda c: 2 * c - 1])
def test_classes_of_other_types_become_integers(tmp_path: Path, of_class: Callable[[int], Any]) -> None:
    features, target = trained.blobs(classes=2)

    draft = trained.converted(tmp_path, LogisticRegression(), features, np.array([of_class(int(c)) for c in target]))

    assert all(type(value) is int for value in classification_of(draft).classes)
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_classes_that_are_truth_values_are_served_as_such(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)

    draft = trained.converted(tmp_path, LogisticRegression(), features, target.astype(bool))

    assert [type(value) for value in classification_of(draft).classes] == [bool, bool]
    assert str(draft.signature.outputs[0]) == "label: BOOL[-1]"
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0
    expected = trained.fitted(LogisticRegression(), features, target.astype(bool)).predict(features)
    served = trained.served_model(tmp_path / "out")
    for count in (1, 50):
        answers = served.predict({"features": features[:count].astype(np.float32)})["label"]
        assert answers.dtype == np.bool_
        assert answers.tolist() == expected[:count].tolist()


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (PCA(2), "the PCA predicts nothing"),
        (LabelPropagation(), "no converter for the LabelPropagation: fit a classifier on its transduction_"),
        (make_pipeline(StandardScaler(), LabelPropagation()), "converter for the LabelPropagation in the Pipeline:"),
        (ClassifierChain(LogisticRegression()), "predicts several targets .* fit a MultiOutputClassifier"),
    ],
)
def test_what_has_no_conversion_is_named(tmp_path: Path, estimator: Any, said: str) -> None:  # noqa: ANN401
    features, target = trained.blobs()
    targets = np.stack([target > 0, target > 1], axis=1) if "several" in said else target
    path = trained.saved(trained.fitted(estimator, features, targets), tmp_path)

    with pytest.raises(ConversionError, match=said):
        convert(path, tmp_path / "out", trust=True)


def test_an_estimator_that_was_never_fitted_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="never fitted"):
        convert(trained.saved(LogisticRegression(), tmp_path), tmp_path / "out", trust=True)
