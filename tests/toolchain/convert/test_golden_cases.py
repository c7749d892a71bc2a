"""Golden cases of trained estimators: near the boundary, and the same wherever they are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import check, decode_cases, tolerance_here
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.golden_cases import order_by_information
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.manifest import Draft

pytestmark = pytest.mark.toolchain


def prepared(folder: Path, estimator: object) -> tuple[Draft, dict[str, Path]]:
    """The estimator, fitted on every other row of breast cancer, converted with the rest and made ready to publish."""
    features, target = load_breast_cancer(return_X_y=True)
    model = trained.saved(trained.fitted(estimator, features[::2], target[::2]), folder)
    data = trained.csv_of(folder / "data.csv", features[1::2], target[1::2])
    convert(model, folder / "out", data=data, target="target", trust=True)
    return prepare(folder / "out", folder / "work")


@pytest.mark.parametrize("seed", [0, 1])
def test_golden_cases_of_a_forest_hold_with_any_number_of_threads(tmp_path: Path, seed: int) -> None:
    draft, files = prepared(tmp_path, RandomForestClassifier(random_state=seed))

    assert draft.golden is not None
    cases = decode_cases(files["golden.json"].read_bytes())
    assert len(cases) == 4
    for threads in (1, 2, 3, 6):
        engine = load_engine(files["model.onnx"], threads=threads, optimized=True, run_deadline=10)
        check(engine, cases, tolerance_here(draft.golden))


def test_golden_cases_of_a_forest_are_near_the_boundary_and_not_on_it(tmp_path: Path) -> None:
    _, files = prepared(tmp_path, RandomForestClassifier(random_state=0))

    cases = decode_cases(files["golden.json"].read_bytes())
    probabilities = np.concatenate([case.outputs["probabilities"] for case in cases])
    ahead = np.abs(probabilities[:, 0] - probabilities[:, 1])
    assert 0.005 < ahead.min() < 0.05


def test_a_classifier_whose_classes_are_always_tied_has_no_golden_cases(tmp_path: Path) -> None:
    draft, files = prepared(tmp_path, LogisticRegression(C=1e-15, class_weight="balanced"))

    assert draft.golden is None
    assert "golden.json" not in files


def test_rows_near_the_boundary_come_first_and_every_class_is_there() -> None:
    probabilities = np.array([[0.9, 0.1], [0.51, 0.49], [0.2, 0.8], [0.45, 0.55]])
    label = np.array([0, 0, 1, 1])

    assert order_by_information(label, probabilities) == [1, 0, 2, 3]


def test_of_predictions_the_middle_and_the_extremes_come_first() -> None:
    assert order_by_information(None, np.array([5.0, 1.0, 3.0, 2.0, 4.0]))[:3] == [2, 1, 0]


def test_a_classifier_without_probabilities_gets_a_row_of_each_class() -> None:
    assert order_by_information(np.array(["b", "b", "a"], dtype=object), None)[:2] == [0, 2]
