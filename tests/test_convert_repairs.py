"""Converting what skl2onnx converts wrongly, or not, by itself."""

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
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from onnxlet.convert import convert
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.manifest import Draft, Tolerance
from onnxlet.signature import TensorSpec
from onnxlet.verify import compare

pytestmark = pytest.mark.toolchain

FOREST = RandomForestClassifier(5, random_state=0)
REPAIRED: dict[str, Callable[[], Any]] = {
    "a linear SVC at a pipeline's end": lambda: make_pipeline(StandardScaler(), LinearSVC(random_state=0)),
    "quadratic discriminant analysis": QuadraticDiscriminantAnalysis,
    "neighbours that weigh by distance": lambda: KNeighborsClassifier(weights="distance"),
    "calibrated by steps": lambda: CalibratedClassifierCV(FOREST, method="isotonic"),
    "votes": lambda: VotingClassifier([("bayes", GaussianNB()), ("forest", FOREST)], voting="soft"),
}


def distance(draft: Draft) -> float:
    """The largest one that the conversion measured."""
    return draft.evaluations[-1].metrics["largest_distance"]


@pytest.mark.parametrize("make", REPAIRED.values(), ids=REPAIRED)
@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers_answer_as_they_did(tmp_path: Path, make: Callable[[], Any], classes: int) -> None:
    features, target = trained.blobs(classes=classes)
    half = len(features) // 2
    path = trained.saved(trained.fitted(make(), features[:half], target[:half]), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    draft = convert(path, tmp_path / "out", data=data, target="target", trust=True)

    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0
    assert distance(draft) < 1e-5
    assert draft.graph.outputs[0] == TensorSpec("label", "INT64", (-1,))


def test_neighbours_weigh_what_they_predict_by_their_distances(tmp_path: Path) -> None:
    features, target = trained.slopes()
    path = trained.saved(trained.fitted(KNeighborsRegressor(weights="distance"), features[:60], target[:60]), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features[60:], target[60:])

    assert distance(convert(path, tmp_path / "out", data=data, target="target", trust=True)) < 1e-4


def test_thresholds_of_histogram_gradient_boosting_stay_double(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = random.normal(1e4, 1e-3, size=(200, 4))
    target = (features[:, 0] - 1e4) * 1e3
    estimator = trained.fitted(HistGradientBoostingRegressor(max_iter=10, random_state=0), features, target)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="target", trust=True)

    assert draft.graph.inputs[0].datatype == "FP64"
    assert draft.evaluations[-1].metrics["largest_relative_distance"] < 1e-6


def test_columns_of_true_and_false_are_numbers(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({"dose": random.normal(size=80), "smokes": random.random(80) < 0.5})
    target = (frame["dose"] > 0) ^ frame["smokes"]
    columns = ColumnTransformer([("n", StandardScaler(), ["dose"]), ("b", "passthrough", ["smokes"])])
    estimator = trained.fitted(make_pipeline(columns, LogisticRegression()), frame, target)
    frame.assign(target=target).to_csv(tmp_path / "data.csv", index=False)

    draft = convert(
        trained.saved(estimator, tmp_path), tmp_path / "out", data=tmp_path / "data.csv", target="target", trust=True
    )

    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0
    assert draft.steps.tabular is not None
    assert [column.datatype for column in draft.steps.tabular.columns] == ["FP32", "FP32"]


def test_rows_that_the_estimator_refuses_are_the_datas_fault(tmp_path: Path) -> None:
    features, target = trained.blobs()
    path = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    features[0, 0] = np.nan

    with pytest.raises(InvalidInputError, match=r"not take these rows: Input X contains NaN.*cells of 'feature 0'"):
        convert(path, tmp_path / "out", data=trained.csv_of(tmp_path / "data.csv", features, None), trust=True)


def test_what_is_wrong_with_the_first_way_is_said_though_the_second_cannot_be_written(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    calibrated = CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC(random_state=0)))
    path = trained.saved(trained.fitted(calibrated, features, target), tmp_path)

    with pytest.raises(ConversionError, match=r"in float32 it does not run .*; another way cannot be written"):
        convert(path, tmp_path / "out", trust=True)


def test_answers_of_another_shape_are_not_compared() -> None:
    with pytest.raises(InvalidInputError, match=r"'label' has the shape \[1, 3\] where \[3\] is expected"):
        compare({"label": np.arange(3)}, {"label": np.arange(3)[None]}, Tolerance())
