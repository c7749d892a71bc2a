"""Missing values and infinities are taken where the estimator takes them, and refused where it refuses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from drafts import tabular_of
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.lambda_events import handle
from onnxlet.errors import InvalidInputError
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare

pytestmark = [pytest.mark.toolchain, pytest.mark.long]

NAMES = ["age", "dose", "count"]
FITTED: dict[str, Callable[[], Any]] = {
    "imputer": lambda: make_pipeline(SimpleImputer(), LogisticRegression()),
    "imputer behind a scaler": lambda: make_pipeline(RobustScaler(), SimpleImputer(), LogisticRegression()),
    "neighbours": lambda: make_pipeline(KNNImputer(n_neighbors=2), StandardScaler(), LogisticRegression()),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=5),
    "histogram boosting of numbers": lambda: HistGradientBoostingRegressor(max_iter=5),
    "forest": lambda: RandomForestClassifier(8, random_state=0),
}
REFUSING: dict[str, Callable[[], Any]] = {
    "scaler": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "linear": LogisticRegression,
    "nearest": KNeighborsClassifier,
}


def complete(rows: int = 120, seed: int = 0) -> tuple[pd.DataFrame, trained.Array]:
    """Whole numbers and others, none of them missing."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"age": random.integers(20, 90, rows), "dose": random.normal(5, 2, rows), "count": random.lognormal(1, 1, rows)}
    )
    return frame, (frame["age"] + 4 * frame["dose"] + random.normal(0, 5, rows) > 75).to_numpy()


def holed(frame: pd.DataFrame, value: float = np.nan) -> pd.DataFrame:
    """Each of the first rows with one value replaced."""
    changed = frame.astype(np.float64).iloc[: len(NAMES)].copy()
    for row, name in enumerate(NAMES):
        changed.iloc[row, NAMES.index(name)] = value
    return changed


def columns_of(frame: pd.DataFrame) -> dict[str, trained.Array]:
    return {str(name): frame[name].to_numpy() for name in frame}


@pytest.mark.parametrize("make", FITTED.values(), ids=FITTED)
@pytest.mark.parametrize("kind", ["frame", "array", "file"])
def test_missing_values_are_taken_where_the_estimator_takes_them_though_the_data_had_none(
    make: Callable[[], Any], kind: str, tmp_path: Path
) -> None:
    known, target = complete()
    model = make().fit(known.to_numpy() if kind == "array" else known, target)
    data: Any = known.to_numpy() if kind == "array" else known
    if kind == "file":
        data = tmp_path / "data.csv"
        known.to_csv(data, index=False)

    draft = convert(model, tmp_path / "out", data=data)

    assert all(column.missing for column in tabular_of(draft).columns)
    rows = holed(complete(seed=1)[0])
    served = rows.set_axis(["x0", "x1", "x2"], axis=1) if kind == "array" else rows
    answers = trained.served_model(tmp_path / "out").predict(columns_of(served), "columns")
    expected = model.predict(rows.to_numpy() if kind == "array" else rows)
    if "label" in answers:
        assert answers["label"].tolist() == expected.astype(int).tolist()
    else:
        np.testing.assert_allclose(answers["prediction"], expected, rtol=1e-5)


@pytest.mark.parametrize("make", REFUSING.values(), ids=REFUSING)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_the_estimator_refuses_is_refused_by_columns_and_as_a_matrix(
    make: Callable[[], Any], value: float, tmp_path: Path
) -> None:
    known, target = complete()
    model = make().fit(known, target)
    convert(model, tmp_path / "out", data=known)
    rows = holed(known, value)
    with pytest.raises(ValueError, match="contains"):
        model.predict(rows)

    served = trained.served_model(tmp_path / "out")
    what = r"is missing \(NaN\)" if np.isnan(value) else "is infinite"
    with pytest.raises(InvalidInputError, match=f"the column 'age' {what} in row 0"):
        served.predict(columns_of(rows), "columns")
    matrix = rows.to_numpy(dtype=served.signatures["serving_default"].inputs[0].type.numpy)
    with pytest.raises(InvalidInputError, match=f"the column 'age' {what} in row 0"):
        served.predict({"features": matrix})


def test_each_column_is_asked_for_itself(tmp_path: Path) -> None:
    known, target = complete()
    columns = make_column_transformer((SimpleImputer(), ["dose"]), (StandardScaler(), ["age", "count"]))
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(known, target)
    draft = convert(model, tmp_path / "out", data=known)
    # a scaler takes missing values, and the regression behind it does not
    assert {column.name: column.missing for column in tabular_of(draft).columns} == {
        "age": False,
        "dose": True,
        "count": False,
    }
    served = trained.served_model(tmp_path / "out")
    rows = known.astype(np.float64).iloc[:2].copy()
    rows.loc[0, "dose"] = np.nan
    assert served.predict(columns_of(rows), "columns")["label"].tolist() == model.predict(rows).astype(int).tolist()
    rows.loc[1, "count"] = np.nan
    with pytest.raises(InvalidInputError, match=r"'count' is missing \(NaN\) in row 1"):
        served.predict(columns_of(rows), "columns")


def test_infinities_are_taken_by_histogram_boosting_and_by_no_imputer(tmp_path: Path) -> None:
    known, target = complete()
    rows = holed(known, np.inf)
    boosted = HistGradientBoostingClassifier(max_iter=5).fit(known, target)
    convert(boosted, tmp_path / "boosted", data=known)
    answers = trained.served_model(tmp_path / "boosted").predict(columns_of(rows), "columns")
    assert answers["label"].tolist() == boosted.predict(rows).astype(int).tolist()

    convert(make_pipeline(SimpleImputer(), LogisticRegression()).fit(known, target), tmp_path / "imputed", data=known)
    with pytest.raises(InvalidInputError, match="is infinite"):
        trained.served_model(tmp_path / "imputed").predict(columns_of(rows), "columns")


def ask(dataplane: DataPlane, body: str) -> tuple[int, dict[str, Any]]:
    path = "/v1/models/diagnosis:predict"
    event = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": path}, "stage": "$default"},
        "body": body,
        "isBase64Encoded": False,
    }
    response = handle(dataplane, event, None)
    return response["statusCode"], json.loads(response["body"])


def serve(model: Any, folder: Path, store: Store) -> DataPlane:  # noqa: ANN401
    convert(model, folder / "out", data=complete()[0])
    registry = Registry(store, who="tests")
    manifest = registry.publish("diagnosis", *prepare(folder / "out", folder / "work"))
    registry.promote("diagnosis", manifest.version)
    return DataPlane(Predictor(store, Settings(cache_dir=str(folder / "cache"))))


BODIES = (
    '{"instances": [{"age": 40, "dose": 5, "count": 1}, {"age": 40, "dose": %s, "count": 1}]}',
    '{"inputs": {"age": [40], "dose": [%s], "count": [1]}}',
)


def test_null_and_the_word_nan_are_taken_alike_over_http(tmp_path: Path, store: Store) -> None:
    known, target = complete()
    dataplane = serve(make_pipeline(SimpleImputer(), LogisticRegression()).fit(known, target), tmp_path, store)
    answers = [ask(dataplane, BODIES[0] % word) for word in ("null", "NaN")]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200


@pytest.mark.parametrize("body", [*BODIES, '{"instances": [[40, %s, 1]]}'])
@pytest.mark.parametrize("word", ["null", "NaN", "Infinity"])
def test_null_and_the_word_nan_are_refused_alike_over_http(body: str, word: str, tmp_path: Path, store: Store) -> None:
    known, target = complete()
    dataplane = serve(make_pipeline(StandardScaler(), LogisticRegression()).fit(known, target), tmp_path, store)
    assert ask(dataplane, body % "5")[0] == 200
    status, document = ask(dataplane, body % word)
    assert status == 400
    assert document["error"]
