"""Explaining trees from end to end: converted, published, loaded, explained."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import onnxlet
from onnxlet.errors import DeadlineExceededError, IntegrityError, NotExplainableError
from onnxlet.explain.document import read_document
from onnxlet.explain.request import ExplanationRequest
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.toolchain.prepare.trees.nodes import KINDS
from onnxlet.values.refs import parse_ref
from onnxlet.values.tensors import Tensor

pytestmark = pytest.mark.toolchain

NUMBERS = list("abcde")
RNG = np.random.default_rng(0)
ROWS = pd.DataFrame(RNG.normal(size=(300, 5)).astype(np.float32).astype(np.float64), columns=NUMBERS)
SCORE = ROWS["a"] + ROWS["b"] * ROWS["c"]
MIXED = ROWS.assign(kind=RNG.choice(["u", "v", "w"], len(ROWS)))
ASKED = 4


def forest() -> Any:  # noqa: ANN401 - scikit-learn has no types
    return RandomForestClassifier(8, max_depth=5, random_state=0)


def target_of_kinds() -> Tensor:
    return np.asarray((SCORE > 0) ^ (MIXED["kind"] == "u"))


def encoded(model: Any) -> Any:  # noqa: ANN401 - likewise
    one_hot = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(make_column_transformer((one_hot, ["kind"]), (StandardScaler(), NUMBERS)), model)


MODELS: dict[str, tuple[Any, pd.DataFrame, Any]] = {
    "a forest": (forest(), ROWS, SCORE > 0),
    "a forest of three classes": (forest(), ROWS, np.digitize(SCORE, [-0.5, 0.5])),
    "trees of a number": (ExtraTreesRegressor(8, max_depth=5, random_state=0), ROWS, SCORE),
    "boosting of a number": (HistGradientBoostingRegressor(max_iter=8), ROWS, SCORE),
    "missing values": (forest(), ROWS.mask(RNG.random(ROWS.shape) < 0.1), SCORE > 0),
    "scaled columns": (make_pipeline(StandardScaler(), forest()), ROWS, SCORE > 0),
    "filled columns": (make_pipeline(SimpleImputer(), forest()), ROWS.mask(RNG.random(ROWS.shape) < 0.1), SCORE > 0),
    "one-hot columns": (encoded(forest()), MIXED, target_of_kinds()),
}
QUICK = {"a forest of three classes", "boosting of a number", "one-hot columns"}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in MODELS]


def published(model: Any, rows: pd.DataFrame, target: Any, folder: Path) -> Any:  # noqa: ANN401 - likewise
    """The version in memory."""
    model.fit(rows, target)
    onnxlet.convert(model, folder / "converted", data=rows)
    return loaded(folder)


def loaded(folder: Path) -> Any:  # noqa: ANN401 - likewise
    onnxlet.publish(folder / "converted", "m", store=(folder / "store").as_uri())
    return onnxlet.load("m:1", store=(folder / "store").as_uri())


@pytest.mark.parametrize("name", NAMES)
def test_values_against_the_background_are_those_of_all_coalitions(name: str, tmp_path: Path) -> None:
    version = published(*MODELS[name], tmp_path)
    asked = MODELS[name][1][:ASKED]

    trees = version.explain(asked, method="trees-interventional")
    coalitions = version.explain(asked, method="exact", max_evaluations=100_000)

    assert trees.players == coalitions.players
    # the graph adds up in single precision
    np.testing.assert_allclose(trees.attributions, coalitions.attributions, atol=1e-5)
    np.testing.assert_allclose(trees.expected, coalitions.expected, atol=1e-5)
    assert trees.background == coalitions.background


@pytest.mark.parametrize("name", NAMES)
def test_trees_are_explained_by_their_own_weights_unless_another_method_is_asked_for(name: str, tmp_path: Path) -> None:
    model, rows, _ = MODELS[name]
    version = published(*MODELS[name], tmp_path)

    told = version.explain(rows[:ASKED])

    assert told.method == "trees"
    assert told.background is None
    sums = told.expected + told.attributions.sum(axis=1)
    own = model.predict_proba(rows[:ASKED]) if hasattr(model, "predict_proba") else model.predict(rows[:ASKED])[:, None]
    np.testing.assert_allclose(sums, own, atol=1e-5)
    assert told.unit == ("probability" if hasattr(model, "predict_proba") else "value")


@pytest.mark.parametrize(
    "model", [GradientBoostingClassifier(n_estimators=8), HistGradientBoostingClassifier(max_iter=8)]
)
def test_boosting_is_explained_in_log_odds_and_says_so(model: BaseEstimator, tmp_path: Path) -> None:
    version = published(model, ROWS, SCORE > 0, tmp_path)

    told = version.explain(ROWS[:ASKED])

    sums = told.expected + told.attributions.sum(axis=1)
    own = model.decision_function(ROWS[:ASKED])
    assert told.unit == "log-odds"
    np.testing.assert_allclose(sums, np.stack([-own, own], axis=1), atol=1e-5)


def test_boosting_is_explained_in_probabilities_where_that_is_asked_for(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=8)
    version = published(model, ROWS, SCORE > 0, tmp_path)

    told = version.explain(ROWS[:ASKED], method="trees-interventional", scale="output")

    assert told.unit == "probability"
    np.testing.assert_allclose(
        told.expected + told.attributions.sum(axis=1), model.predict_proba(ROWS[:ASKED]), atol=1e-5
    )
    assert told.sum_error < 1e-9


@pytest.mark.parametrize(
    "asked", [{}, {"method": "trees-interventional"}, {"scale": "output"}, {"method": "exact"}, {"method": "sampled"}]
)
def test_where_no_row_is_above_nothing_is_explained(asked: dict[str, Any], tmp_path: Path) -> None:
    version = published(HistGradientBoostingClassifier(max_iter=8), ROWS, SCORE > 0, tmp_path)
    told = version.explain(ROWS[:ASKED], above=2, **asked)
    assert (len(told), told.attributions.shape) == (0, (0, len(NUMBERS), 2))


@pytest.mark.long
@pytest.mark.parametrize("asked", [{}, {"method": "trees-interventional"}, {"scale": "output"}])
def test_explaining_trees_ends_with_the_time_of_an_answer(asked: dict[str, Any], tmp_path: Path) -> None:
    published(HistGradientBoostingClassifier(max_iter=50), ROWS, SCORE > 0, tmp_path)
    store = open_store((tmp_path / "store").as_uri())
    model = Predictor(store, Settings(cache_dir=str(tmp_path / "cache"))).load(parse_ref("m:1")).model
    rows = {name: np.tile(ROWS[name].to_numpy(np.float32), 200) for name in NUMBERS}
    # a busy machine may not even be through with the predictions by then
    with pytest.raises(DeadlineExceededError, match=r"explaining took too long|the model ran longer"):
        model.explain(rows, "columns", ExplanationRequest(**asked), due=monotonic() + 1)


@pytest.mark.parametrize("method", ["trees", "trees-interventional"])
def test_explaining_trees_ends_with_the_time_that_is_given(method: str, tmp_path: Path) -> None:
    version = published(HistGradientBoostingClassifier(max_iter=8), ROWS, SCORE > 0, tmp_path)
    for scale in (None, "output") if method == "trees-interventional" else (None,):
        with pytest.raises(NotExplainableError, match="'max_ms' was over before all rows were explained"):
            version.explain(ROWS, method=method, scale=scale, max_ms=0.001)


def test_a_scale_that_is_asked_for_chooses_the_method(tmp_path: Path) -> None:
    version = published(HistGradientBoostingClassifier(max_iter=8), ROWS, SCORE > 0, tmp_path)

    assert version.explain(ROWS[:1], scale="raw").method == "trees"
    assert version.explain(ROWS[:1], scale="output").method == "trees-interventional"
    with pytest.raises(NotExplainableError, match=r"log-odds.*'trees-interventional'"):
        version.explain(ROWS[:1], method="trees", scale="output")
    with pytest.raises(NotExplainableError, match="explains what is served"):
        version.explain(ROWS[:1], method="exact", scale="raw")


def test_probabilities_of_many_boosted_classes_are_refused_with_the_reason(tmp_path: Path) -> None:
    version = published(HistGradientBoostingClassifier(max_iter=4), ROWS, np.digitize(SCORE, [-0.5, 0.5]), tmp_path)

    with pytest.raises(NotExplainableError, match="raw outputs of all classes"):
        version.explain(ROWS[:1], method="trees-interventional", scale="output")
    assert version.explain(ROWS[:1], method="trees-interventional").unit == "logit"


def test_one_class_of_several_is_explained_as_with_the_others(tmp_path: Path) -> None:
    version = published(*MODELS["a forest of three classes"], tmp_path)

    every, one = version.explain(ROWS[:ASKED]), version.explain(ROWS[:ASKED], classes=2)

    np.testing.assert_array_equal(one.attributions, every.attributions[..., 2:])
    np.testing.assert_array_equal(one.expected, every.expected[2:])


def test_columns_that_are_mixed_before_the_trees_are_left_to_other_methods(tmp_path: Path) -> None:
    version = published(make_pipeline(PCA(2), forest()), ROWS, SCORE > 0, tmp_path)

    [note] = [note for note in version.manifest.notes if "trees" in note]
    assert "as a PCA does" in note
    assert version.explain(ROWS[:1]).method == "exact"


def test_several_ensembles_of_trees_are_left_to_other_methods(tmp_path: Path) -> None:
    votes = VotingClassifier([("forest", forest()), ("other", forest().set_params(random_state=1))], voting="soft")
    version = published(votes, ROWS, SCORE > 0, tmp_path)

    assert any("several ensembles of trees" in note for note in version.manifest.notes)
    assert version.explain(ROWS[:1]).method == "exact"


def test_tables_that_are_too_large_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxlet.toolchain.prepare.trees.table.MOST_BYTES", 1000)

    version = published(*MODELS["a forest"], tmp_path)

    assert any("their tables would take" in note for note in version.manifest.notes)
    assert not list((tmp_path / "store").rglob("explain.trees.npz"))


@pytest.mark.parametrize("value", [np.nan, 3e38, -3e38, 1e-45])
def test_values_that_no_training_row_had_are_explained_as_the_graph_answers_them(value: float, tmp_path: Path) -> None:
    version = published(*MODELS["missing values"], tmp_path)
    row = pd.DataFrame(np.full((1, len(NUMBERS)), value), columns=NUMBERS)

    told = version.explain(row)

    # which holds its tables against what is served, and refuses what differs
    assert told.method == "trees"
    assert told.sum_error < 1e-9


def test_trees_without_training_weights_are_explained_against_the_background(tmp_path: Path) -> None:
    onnxlet.convert(forest().fit(ROWS, SCORE > 0), tmp_path / "converted", data=ROWS)
    path = tmp_path / "converted" / "model.onnx"
    graph = onnx.load(path)
    for node in graph.graph.node:
        if node.op_type in KINDS:
            kept = [each for each in node.attribute if each.name != "nodes_hitrates"]
            del node.attribute[:]
            node.attribute.extend(kept)
    onnx.save(graph, path)
    version = loaded(tmp_path)

    assert version.explain(ROWS[:1]).method == "trees-interventional"
    with pytest.raises(NotExplainableError, match="training weight"):
        version.explain(ROWS[:1], method="trees")


def test_damaged_tables_are_refused(tmp_path: Path) -> None:
    published(*MODELS["a forest"], tmp_path)
    [tables] = (tmp_path / "store").rglob("explain.trees.npz")
    tables.write_bytes(tables.read_bytes()[:-100])

    version = onnxlet.load("m:1", store=(tmp_path / "store").as_uri())

    with pytest.raises(IntegrityError):
        version.explain(ROWS[:1])
    assert len(version.predict(ROWS[:1])) == 1


def test_a_graph_alone_has_tables_too(tmp_path: Path) -> None:
    published(*MODELS["a forest"], tmp_path)
    graph = tmp_path / "converted" / "model.onnx"

    version = onnxlet.publish(graph, "bare", store=(tmp_path / "store").as_uri())

    assert "trees" in read_document(version.manifest.explanations).tables
    told = onnxlet.load("bare:1", store=(tmp_path / "store").as_uri()).explain(ROWS[:ASKED].to_numpy(np.float32))
    assert told.method == "trees"
    assert told.players[0] == "features[0]"
