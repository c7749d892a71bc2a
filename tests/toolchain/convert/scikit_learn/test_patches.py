"""Converting what skl2onnx converts wrongly, or not, by itself."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from drafts import tabular_of
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.lambda_events import handle
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.scikit_learn.internals import PATCHED, SUPPORTED, registered_converter
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.comparison import compare
from onnxlet.values.manifest import Draft, Tolerance
from onnxlet.values.signature import TensorSpec

pytestmark = [pytest.mark.toolchain, pytest.mark.long]

FOREST = RandomForestClassifier(5, random_state=0)
SCALED = partial(make_pipeline, StandardScaler(), LogisticRegression())
PATCHED_ESTIMATORS: dict[str, Callable[[], Any]] = {
    "a linear SVC at a pipeline's end": lambda: make_pipeline(StandardScaler(), LinearSVC(random_state=0)),
    "quadratic discriminant analysis": QuadraticDiscriminantAnalysis,
    "neighbours that weigh by distance": lambda: KNeighborsClassifier(weights="distance"),
    "calibrated by steps": lambda: CalibratedClassifierCV(FOREST, method="isotonic"),
    "calibrated pipeline": lambda: CalibratedClassifierCV(SCALED()),
    "calibrated pipeline of a linear SVC": lambda: CalibratedClassifierCV(
        make_pipeline(StandardScaler(), LinearSVC(random_state=0))
    ),
    "pipelines that vote": lambda: VotingClassifier([("line", SCALED()), ("forest", FOREST)], voting="soft"),
    "stacked pipelines": lambda: StackingClassifier([("line", SCALED()), ("forest", FOREST)], cv=2),
    "votes": lambda: VotingClassifier([("bayes", GaussianNB()), ("forest", FOREST)], voting="soft"),
}


def distance(draft: Draft) -> float:
    """The largest one that the conversion measured."""
    return draft.evaluations[-1].metrics["largest_distance"]


@pytest.mark.parametrize("make", PATCHED_ESTIMATORS.values(), ids=PATCHED_ESTIMATORS)
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


@pytest.mark.parametrize("classes", [2, 3])
def test_thresholds_of_boosted_classifiers_stay_double_too(tmp_path: Path, classes: int) -> None:
    random = np.random.default_rng(0)
    features = random.normal(1e4, 1e-4, size=(200, 4))
    target = np.digitize(features[:, 0] - 1e4, np.linspace(-5e-5, 5e-5, classes - 1))
    estimator = trained.fitted(HistGradientBoostingClassifier(max_iter=10, random_state=0), features, target)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="target", trust=True)
    prepare(tmp_path / "out", tmp_path / "work")

    assert draft.graph.inputs[0].datatype == "FP64"
    assert distance(draft) < 1e-6


def smokers(folder: Path) -> tuple[Any, Any, Path]:
    """A frame with a column of True and False, an estimator of it, and the CSV file."""
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({"dose": random.normal(size=80), "smokes": random.random(80) < 0.5})
    target = (frame["dose"] > 0) ^ frame["smokes"]
    columns = ColumnTransformer([("n", StandardScaler(), ["dose"]), ("b", "passthrough", ["smokes"])])
    estimator = trained.fitted(make_pipeline(columns, LogisticRegression()), frame, target)
    frame.assign(target=target).to_csv(folder / "data.csv", index=False)
    return frame, estimator, folder / "data.csv"


def test_columns_of_true_and_false_are_asked_for_as_such(tmp_path: Path, directory_url: str) -> None:
    frame, estimator, data = smokers(tmp_path)
    store = open_store(directory_url)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="target", trust=True)
    prepared, files = prepare(tmp_path / "out", tmp_path / "work")
    registry = Registry(store)
    registry.publish("m", prepared, files)
    registry.promote("m", 1)
    dataplane = DataPlane(Predictor(store, Settings(cache_dir=str(tmp_path / "cache"))))

    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0
    assert [column.datatype for column in tabular_of(draft).columns] == ["FP32", "BOOL"]
    assert [spec.datatype for spec in draft.graph.inputs] == ["FP32", "FP32"]
    rows = [{"dose": dose, "smokes": smokes} for dose, smokes in frame[:8].itertuples(index=False)]
    answer = asked(dataplane, {"instances": rows})
    assert [row["label"] for row in answer["predictions"]] == estimator.predict(frame[:8]).astype(int).tolist()
    assert "must be true or false" in asked(dataplane, {"instances": [{"dose": 1, "smokes": 1}]}, status=400)["error"]


def asked(dataplane: DataPlane, body: dict[str, Any], status: int = 200) -> Any:  # noqa: ANN401 - JSON
    """The answer of the predict function's handler."""
    path = "/v1/models/m:predict"
    event = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": path}, "stage": "$default"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
    answer = handle(dataplane, event, None)
    assert answer["statusCode"] == status, answer["body"]
    return json.loads(answer["body"])


def test_booleans_with_gaps_stay_numbers(tmp_path: Path) -> None:
    features, target = trained.blobs(features=2)
    estimator = trained.fitted(HistGradientBoostingRegressor(max_iter=3, random_state=0), features, target)
    rows = [[1.0, cell] for cell in ("True", "False", "")]
    data = trained.write_csv(tmp_path / "data.csv", ["dose", "smokes"], rows)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, trust=True)

    assert [column.datatype for column in tabular_of(draft).columns] == ["FP64", "FP64"]


@pytest.mark.parametrize("columns", [None, [2]], ids=["matrix", "by position"])
def test_a_text_among_numbers_is_named_with_its_column_and_row(tmp_path: Path, columns: list[int] | None) -> None:
    features, target = trained.blobs()
    parts = ColumnTransformer([("numbers", StandardScaler(), columns)]) if columns else StandardScaler()
    estimator = trained.fitted(make_pipeline(parts, LogisticRegression()), features, target)
    cells = features.astype(object)
    cells[3, 2] = "n/a"
    data = trained.csv_of(tmp_path / "data.csv", cells, target)

    with pytest.raises(InvalidInputError, match=r"row 4 of column 'feature 2' holds a text, which is no number"):
        convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="target", trust=True)


def test_rows_that_the_estimator_refuses_are_the_datas_fault(tmp_path: Path) -> None:
    features, target = trained.blobs()
    path = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    features[0, 0] = np.nan

    with pytest.raises(InvalidInputError, match=r"not take these rows: Input X contains NaN.*cells of 'feature 0'"):
        convert(path, tmp_path / "out", data=trained.csv_of(tmp_path / "data.csv", features, None), trust=True)


class SingleRidge(Ridge):  # type: ignore[misc] # scikit-learn has no types
    """A regressor whose converter, registered by somebody else, writes single precision alone."""


def test_what_is_wrong_with_the_first_variant_is_named_though_the_second_cannot_be_written(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    model = trained.fitted(SingleRidge(), features, target)
    write, _ = registered_converter("SklearnLinearRegressor")

    def write_single(scope: object, operator: Any, container: object) -> None:  # noqa: ANN401 - skl2onnx has no types
        if isinstance(operator.inputs[0].type, DoubleTensorType):
            raise NotImplementedError("there are no doubles")
        write(scope, operator, container)

    update_registered_converter(SingleRidge, "SingleRidge", calculate_linear_regressor_output_shapes, write_single)
    with pytest.raises(ConversionError, match=r"in float32 answers differ .*; another way cannot be written"):
        convert(model, tmp_path / "out", data=features, tolerance=Tolerance(absolute=0.0, relative=0.0))


def test_answers_of_another_shape_are_not_compared() -> None:
    with pytest.raises(InvalidInputError, match=r"'label' has the shape \[1, 3\] where \[3\] is expected"):
        compare({"label": np.arange(3)}, {"label": np.arange(3)[None]}, Tolerance())


@pytest.mark.parametrize("wrap", [CalibratedClassifierCV, lambda inner: VotingClassifier([("one", inner)])])
def test_columns_picked_by_name_within_another_estimator_are_refused_with_what_to_do(
    tmp_path: Path, wrap: Callable[[Any], Any]
) -> None:
    frame, inner, data = smokers(tmp_path)
    frame = frame.astype({"smokes": float})
    estimator = trained.fitted(wrap(inner), frame, np.arange(len(frame)) % 2)
    frame.assign(target=np.arange(len(frame)) % 2).to_csv(data, index=False)

    with pytest.raises(ConversionError, match=r"put it first, as in make_pipeline\(ColumnTransformer"):
        convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="target", trust=True)


@pytest.mark.parametrize("part", [".".join(part) for part in PATCHED])
def test_an_skl2onnx_without_a_part_that_is_patched_is_refused_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    model = trained.saved(LogisticRegression().fit(np.eye(3), [0, 1, 1]), tmp_path)
    monkeypatch.delattr(part)

    with pytest.raises(
        ConversionError, match=rf"skl2onnx {metadata.version('skl2onnx')} has no {part}, .*pip install '{SUPPORTED}'"
    ):
        convert(model, tmp_path / "out", trust=True)

    assert not (tmp_path / "out").exists()


def test_an_skl2onnx_without_a_converter_that_is_patched_is_refused_by_its_version() -> None:
    with pytest.raises(ConversionError, match=rf"skl2onnx .* has no converter 'SklearnPipelines', .*'{SUPPORTED}'"):
        registered_converter("SklearnPipelines")


def test_the_package_asks_for_the_skl2onnx_that_the_patches_were_made_for() -> None:
    extras = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    assert SUPPORTED in extras["sklearn"]
