"""Converting estimators that take missing values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeRegressor

from drafts import tabular_of
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.steps import decode_steps
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.evaluation import run_columns
from onnxlet.toolchain.workbench.evaluation_data import open_graph
from onnxlet.values.tensors import Tensors

pytestmark = [pytest.mark.toolchain, pytest.mark.long]

TREES: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "forest at a pipeline's end": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)),
    "forest of numbers": lambda: RandomForestRegressor(10, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(10, random_state=0),
    "extra trees of numbers": lambda: ExtraTreesRegressor(10, random_state=0),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "tree of numbers": lambda: DecisionTreeRegressor(random_state=0),
    "extra tree of numbers": lambda: ExtraTreeRegressor(random_state=0),
    "bagged trees": lambda: BaggingClassifier(DecisionTreeClassifier(), n_estimators=5, random_state=0),
}


def gaps() -> tuple[trained.Array, trained.Array]:
    """Points around two centres with a tenth of the numbers missing, and most of one feature of one class."""
    features, target = trained.blobs(rows=200, classes=2)
    random = np.random.default_rng(0)
    features[random.random(features.shape) < 0.1] = np.nan
    features[(target == 1) & (random.random(len(target)) < 0.7), 0] = np.nan
    return features, target


@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "never seen"])
def test_trees_send_missing_values_where_they_did(tmp_path: Path, make: Callable[[], Any], seen: bool) -> None:
    features, target = gaps()
    known = features[:100] if seen else np.nan_to_num(features[:100])
    path = trained.saved(trained.fitted(make(), known, target[:100]), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features[100:], target[100:])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draft = convert(path, tmp_path / "out", data=data, target="target", trust=True)

    assert draft.evaluations[-1].metrics["largest_distance"] < 1e-6


def test_thresholds_between_missing_and_present_are_written_in_double_precision_too(tmp_path: Path) -> None:
    features, target = gaps()
    scaled = features * 1e-7 + 1
    forest = trained.fitted(RandomForestClassifier(10, random_state=0), scaled, target)
    assert any(np.isinf(tree.tree_.threshold).any() for tree in forest.estimators_)
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0))
    path = trained.saved(trained.fitted(pipeline, scaled, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", scaled, target)

    draft = convert(path, tmp_path / "out", data=data, target="target", trust=True)

    assert draft.graph.inputs[0].datatype == "FP64"
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_missing_values_are_filled_in_from_neighbours(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    features[::7, 0] = features[::5, 1] = np.nan
    path = trained.saved(trained.fitted(make_pipeline(KNNImputer(), LogisticRegression()), features, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    convert(path, tmp_path / "out", data=data, target="target", trust=True)
    prepared, _ = prepare(tmp_path / "out", tmp_path / "work")

    assert prepared.evaluations[1].metrics["label_agreement"] == 1.0
    assert prepared.provenance.opset.keys() == {"ai.onnx", "ai.onnx.ml"}


NEIGHBOURS: dict[str, Callable[[], Any]] = {
    "alike": KNNImputer,
    "by distance": lambda: KNNImputer(n_neighbors=3, weights="distance"),
    "indicated": lambda: KNNImputer(add_indicator=True),
    "all of them": lambda: KNNImputer(n_neighbors=1000),
}


@pytest.mark.parametrize("make", NEIGHBOURS.values(), ids=NEIGHBOURS)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_rows_that_have_nothing_in_common_are_no_neighbours(
    tmp_path: Path, make: Callable[[], Any], precision: type
) -> None:
    features, target = gaps()
    scale = StandardScaler() if precision is np.float32 else StandardScaler(with_std=False)
    features = features if precision is np.float32 else features * 1e-7 + 1
    last = LogisticRegression(C=1 if precision is np.float32 else 1e14)
    pipeline = trained.fitted(make_pipeline(scale, make(), last), features, target)
    data = trained.csv_of(tmp_path / "data.csv", features, target)
    draft = convert(trained.saved(pipeline, tmp_path), tmp_path / "out", data=data, target="target", trust=True)

    rows = np.array(
        [[here if (row >> column) & 1 else np.nan for column, here in enumerate(features[2])] for row in range(16)]
    )
    tabular = tabular_of(draft)
    columns: Tensors = {column.name: rows[:, place].astype(precision) for place, column in enumerate(tabular.columns)}
    answers = run_columns(open_graph(tmp_path / "out" / "model.onnx"), decode_steps(draft.steps), columns)
    np.testing.assert_allclose(answers["probabilities"], pipeline.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("keep", [True, False])
def test_columns_without_any_neighbour_are_dropped_or_kept(tmp_path: Path, keep: bool) -> None:
    features, target = gaps()
    features[:, 2] = np.nan
    pipeline = make_pipeline(KNNImputer(keep_empty_features=keep), LogisticRegression())
    path = trained.saved(trained.fitted(pipeline, features, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    draft = convert(path, tmp_path / "out", data=data, target="target", trust=True)

    assert draft.evaluations[-1].metrics["largest_distance"] < 1e-5


def test_a_number_may_stand_for_what_neighbours_have(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    features[::7, 0] = features[::5, 1] = -1
    pipeline = make_pipeline(KNNImputer(missing_values=-1), LogisticRegression())
    path = trained.saved(trained.fitted(pipeline, features, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    draft = convert(path, tmp_path / "out", data=data, target="target", trust=True)

    assert draft.evaluations[-1].metrics["largest_distance"] < 1e-5


def test_neighbours_weighed_by_a_function_are_named(tmp_path: Path) -> None:
    features, target = gaps()
    pipeline = make_pipeline(KNNImputer(weights=np.ones_like), LogisticRegression())
    path = trained.saved(trained.fitted(pipeline, features, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    with pytest.raises(ConversionError, match=r"KNNImputer measures or weighs by a function .* choose"):
        convert(path, tmp_path / "out", data=data, target="target", trust=True)


def guests(rows: int = 200) -> tuple[Any, trained.Array]:
    """A frame of numbers and texts, some of which are missing, and which of two classes its rows are."""
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    age = random.integers(20, 90, rows).astype(float)
    city = random.choice(["Łódź", "Köln", "New York"], rows).astype(object)
    target = ((age > 50) ^ (city == "Köln")).astype(int)
    age[random.random(rows) < 0.2] = np.nan
    city[random.random(rows) < 0.2] = np.nan
    sex = random.choice(["f", "m"], rows)
    return pandas.DataFrame({"age": age, "stay": random.normal(size=rows), "sex": sex, "city": city}), target


def pipeline_of(texts: Any, last: Any, numbers: Any = None) -> Any:  # noqa: ANN401
    """An estimator of guests."""
    numbers = numbers or make_pipeline(SimpleImputer(), StandardScaler())
    columns = [("n", numbers, ["age", "stay"]), ("t", texts, ["sex", "city"])]
    return make_pipeline(ColumnTransformer(columns), last)


UNKNOWN_IGNORED = OneHotEncoder(handle_unknown="ignore")
NUMBERED = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
FOREST = RandomForestClassifier(5, random_state=0)
GUESTS: dict[str, Callable[[], Any]] = {
    "most frequent": lambda: pipeline_of(
        make_pipeline(SimpleImputer(strategy="most_frequent"), UNKNOWN_IGNORED), LogisticRegression()
    ),
    "constant": lambda: pipeline_of(
        make_pipeline(SimpleImputer(strategy="constant", fill_value="missing"), UNKNOWN_IGNORED), LogisticRegression()
    ),
    "a category of their own": lambda: pipeline_of(OneHotEncoder(), LogisticRegression()),
    "numbered NaN": lambda: pipeline_of(NUMBERED, FOREST),
    "numbered": lambda: pipeline_of(OrdinalEncoder(encoded_missing_value=-2), FOREST),
    "indicated": lambda: pipeline_of(
        UNKNOWN_IGNORED, LogisticRegression(), make_pipeline(SimpleImputer(add_indicator=True), RobustScaler())
    ),
}


@pytest.mark.parametrize("make", GUESTS.values(), ids=GUESTS)
@pytest.mark.parametrize("mark", [np.nan, None], ids=["NaN", "None"])
def test_missing_texts_are_empty_ones_to_clients(tmp_path: Path, make: Callable[[], Any], mark: float | None) -> None:
    frame, target = guests()
    known = frame.astype({"city": object})
    known.loc[known["city"].isna(), "city"] = mark
    estimator = make()
    if mark is None:
        parameters = [name for name in estimator.get_params() if "missing_values" in name and "__t__" in name]
        estimator.set_params(**dict.fromkeys(parameters))
    trained.fitted(estimator, known[:120], target[:120])
    expected = estimator.predict_proba(known)
    frame.assign(target=target).to_csv(tmp_path / "data.csv", index=False)

    draft = convert(
        trained.saved(estimator, tmp_path), tmp_path / "out", data=tmp_path / "data.csv", target="target", trust=True
    )

    columns = {name: frame[name].fillna("").to_numpy(dtype=object) for name in ("sex", "city")}
    precise = np.float64 if draft.graph.inputs[0].datatype == "FP64" else np.float32
    columns |= {name: frame[name].to_numpy(dtype=precise) for name in ("age", "stay")}
    answers = run_columns(open_graph(tmp_path / "out" / "model.onnx"), decode_steps(draft.steps), columns)
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("named", [True, False], ids=["frame", "array"])
def test_missing_texts_are_filled_in_where_there_is_nothing_else(tmp_path: Path, named: bool) -> None:
    frame, target = guests()
    texts = frame[["sex", "city"]].astype(object)
    steps = SimpleImputer(strategy="most_frequent"), UNKNOWN_IGNORED, LogisticRegression()
    estimator = trained.fitted(make_pipeline(*steps), texts if named else texts.to_numpy(), target)
    texts.assign(target=target).to_csv(tmp_path / "data.csv", index=False)

    draft = convert(
        trained.saved(estimator, tmp_path), tmp_path / "out", data=tmp_path / "data.csv", target="target", trust=True
    )
    prepare(tmp_path / "out", tmp_path / "work")

    expected = estimator.predict_proba(texts if named else texts.to_numpy())
    columns = {name: texts[name].fillna("").to_numpy(dtype=object) for name in texts}
    answers = run_columns(open_graph(tmp_path / "out" / "model.onnx"), decode_steps(draft.steps), columns)
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("keep", [True, False])
def test_columns_that_were_always_empty_are_dropped_or_kept(tmp_path: Path, keep: bool) -> None:
    features, target = gaps()
    known = features.copy()
    known[:, 2] = np.nan
    imputer = SimpleImputer(keep_empty_features=keep, add_indicator=True)
    with warnings.catch_warnings():
        # scikit-learn says that it skips such columns
        warnings.simplefilter("ignore")
        pipeline = trained.fitted(make_pipeline(imputer, StandardScaler(), LogisticRegression()), known, target)
        data = trained.csv_of(tmp_path / "data.csv", features, target)
        draft = convert(trained.saved(pipeline, tmp_path), tmp_path / "out", data=data, target="target", trust=True)

    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_an_indicator_of_missing_texts_is_named(tmp_path: Path) -> None:
    frame, target = guests()
    texts = make_pipeline(SimpleImputer(strategy="most_frequent", add_indicator=True), UNKNOWN_IGNORED)
    estimator = trained.fitted(pipeline_of(texts, LogisticRegression()), frame, target)
    frame.assign(target=target).to_csv(tmp_path / "data.csv", index=False)
    path = trained.saved(estimator, tmp_path)

    with pytest.raises(ConversionError, match=r"SimpleImputer of .*'city'.* leave add_indicator"):
        convert(path, tmp_path / "out", data=tmp_path / "data.csv", target="target", trust=True)


def graded() -> tuple[Any, trained.Array]:
    """A frame of ages and of grades that are numbers, some of which are missing, and which of two classes rows are."""
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(1)
    grade = random.choice([1.0, 2.0, 3.5], 200)
    age = random.normal(50, 20, 200)
    target = ((age > 50) ^ (grade > 2)).astype(int)
    grade[::9] = np.nan
    return pandas.DataFrame({"age": age, "grade": grade}), target


def graded_by(encoder: Any, *, imputed: bool = False, last: Any = None) -> Any:  # noqa: ANN401
    """An estimator of ages and grades."""
    grades = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder) if imputed else encoder
    columns = [("age", "passthrough", ["age"]), ("grade", grades, ["grade"])]
    return make_pipeline(ColumnTransformer(columns), last or HistGradientBoostingClassifier(max_iter=10))


GRADES: dict[str, Callable[[], Any]] = {
    "unknown ignored": lambda: graded_by(UNKNOWN_IGNORED, imputed=True),
    "missing ones of their own": lambda: graded_by(OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
    "one dropped": lambda: graded_by(OneHotEncoder(drop="first", handle_unknown="ignore"), imputed=True),
    "rare ones together": lambda: graded_by(
        OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2), imputed=True
    ),
    "numbered": lambda: graded_by(NUMBERED),
    "numbered with missing ones": lambda: graded_by(
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    ),
    "unknown refused": lambda: graded_by(OneHotEncoder(), imputed=True),
    "unknown refused and numbered": lambda: graded_by(OrdinalEncoder()),
}


@pytest.mark.parametrize("make", GRADES.values(), ids=GRADES)
def test_numbers_are_categories_only_where_they_are_the_very_ones(tmp_path: Path, make: Callable[[], Any]) -> None:
    frame, target = graded()
    estimator = trained.fitted(make(), frame, target)
    frame.assign(target=target).to_csv(tmp_path / "data.csv", index=False)

    draft = convert(
        trained.saved(estimator, tmp_path), tmp_path / "out", data=tmp_path / "data.csv", target="target", trust=True
    )

    engine = open_graph(tmp_path / "out" / "model.onnx")
    precise = np.float64 if draft.graph.inputs[0].datatype == "FP64" else np.float32
    for grade in (1, 1.5, 2, 2.9, 3.5, 7, -0.5, 1e30):
        row = frame[:1].assign(grade=grade)
        columns = {name: row[name].to_numpy(dtype=precise) for name in row}
        try:
            with warnings.catch_warnings():
                # scikit-learn says what becomes of unknown ones
                warnings.simplefilter("ignore")
                expected = estimator.predict_proba(row)
        except ValueError:
            with pytest.raises(InvalidInputError, match="'grade' holds a category"):
                run_columns(engine, decode_steps(draft.steps), columns)
        else:
            answers = run_columns(engine, decode_steps(draft.steps), columns)
            np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("encoder", "refused"),
    [
        (OrdinalEncoder(), True),
        (OneHotEncoder(), True),
        (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=80), False),
    ],
    ids=["numbered", "one by one", "rare ones together"],
)
def test_unknown_texts_are_refused_or_encoded_as_they_were(tmp_path: Path, encoder: Any, refused: bool) -> None:  # noqa: ANN401
    frame, target = guests()
    estimator = trained.fitted(pipeline_of(encoder, FOREST), frame, target)
    frame.assign(target=target).to_csv(tmp_path / "data.csv", index=False)
    draft = convert(
        trained.saved(estimator, tmp_path), tmp_path / "out", data=tmp_path / "data.csv", target="target", trust=True
    )

    engine = open_graph(tmp_path / "out" / "model.onnx")
    row = frame.assign(city="Paris")[:1]
    columns = {name: row[name].to_numpy(dtype=object) for name in ("sex", "city")}
    columns |= {name: row[name].to_numpy(dtype=np.float32) for name in ("age", "stay")}

    if refused:
        with pytest.raises(InvalidInputError, match="'city' holds a category"):
            run_columns(engine, decode_steps(draft.steps), columns)
    else:
        expected = estimator.predict_proba(row)
        answers = run_columns(engine, decode_steps(draft.steps), columns)
        np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("mark", [0, -1, -1.0])
def test_a_number_may_stand_for_missing_ones(tmp_path: Path, mark: float) -> None:
    features, target = trained.blobs(classes=2)
    features[::7, 0] = features[::5, 1] = mark
    pipeline = make_pipeline(SimpleImputer(missing_values=mark), StandardScaler(), LogisticRegression())
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    draft = convert(
        trained.saved(trained.fitted(pipeline, features, target), tmp_path),
        tmp_path / "out",
        data=data,
        target="target",
        trust=True,
    )

    assert draft.evaluations[-1].metrics["largest_distance"] < 1e-5
