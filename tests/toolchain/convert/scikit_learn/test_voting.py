"""Bagged classifiers without probabilities vote, and the shares of their votes are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import Perceptron, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.long]


@pytest.mark.parametrize(
    "estimator",
    [SVC(), LinearSVC(), Perceptron(), RidgeClassifier(), make_pipeline(StandardScaler(), SVC())],
    ids=["SVC", "linear SVC", "perceptron", "ridge", "pipeline"],
)
@pytest.mark.parametrize("names", [("mild", "severe"), ("mild", "none", "severe"), (3, 5, 8)], ids=str)
def test_bagged_voters_serve_labels_and_shares(estimator: Any, names: tuple[Any, ...], tmp_path: Path) -> None:  # noqa: ANN401
    known, illness = patients(1)
    classes = np.array(names)[np.digitize(illness, np.quantile(illness, np.arange(1, len(names)) / len(names)))]
    voters = BaggingClassifier(estimator, 5, max_features=3, max_samples=40, random_state=0)
    model = make_pipeline(StandardScaler(), voters).fit(known, classes)

    convert(model, tmp_path / "out", data=known, target=classes)

    fresh, _ = patients(2)
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-6)
