"""Calibrated classifiers: probabilities as scikit-learn's own, far from the boundary too."""

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
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from onnxlet.toolchain.convert import convert

pytestmark = [pytest.mark.toolchain, pytest.mark.long]

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "margins": LinearSVC,
    "logistic": lambda: LogisticRegression(max_iter=500),
    "votes": lambda: RandomForestClassifier(10, random_state=0),
    "densities": GaussianNB,
}


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_probabilities_are_the_models_near_and_far(
    make: Callable[[], Any], classes: int, method: str, tmp_path: Path
) -> None:
    rows, target = load_iris(return_X_y=True)
    rows = rows[target < classes].astype(np.float32).astype(np.float64)
    model = CalibratedClassifierCV(make(), method=method, cv=3).fit(rows, target[target < classes])

    convert(model, tmp_path / "out", data=rows)

    served = trained.served_model(tmp_path / "out")
    datatype = served.signatures["serving_default"].inputs[0].type.numpy
    for scale in (1, 3, 100, -100, 1e4):
        far = (rows * scale).astype(np.float32)
        answers = served.predict({"features": far.astype(datatype)})
        expected = model.predict_proba(far.astype(np.float64))
        np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5 if scale in (1, 3) else 1e-4)
