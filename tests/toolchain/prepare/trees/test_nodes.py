"""Reading the tree nodes of graphs: what is read answers as ONNX Runtime does, and knows what scikit-learn does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeRegressor

import onnxlet
from onnxlet.explain.trees.ensemble import Ensemble
from onnxlet.toolchain.prepare.trees.nodes import KINDS, read_trees
from onnxlet.toolchain.prepare.trees.unreadable import UnreadableTreesError
from onnxlet.toolchain.workbench.offline import save_optimized
from onnxlet.values.tensors import Tensor
from shapley import answer

pytestmark = pytest.mark.toolchain

SPLITS: dict[str, Any] = {
    "nodes_treeids": [0] * 5,
    "nodes_nodeids": [0, 1, 2, 3, 4],
    "nodes_featureids": [0, 0, 0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_values": [0.5, 0.0, 0.25, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 3, 0, 0],
    "nodes_falsenodeids": [2, 0, 4, 0, 0],
    "target_treeids": [0, 0, 0],
    "target_nodeids": [1, 3, 4],
    "target_ids": [0, 0, 0],
    "target_weights": [1.0, 2.0, 4.0],
    "n_targets": 1,
}
ROWS = np.array([[0.0], [0.25], [0.5], [0.75], [np.nan]], dtype=np.float32)


def data(seed: int = 0) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(400, 4)).astype(np.float32)
    return rows, rows[:, 0] + rows[:, 1] * rows[:, 2]


def graph_of(estimator: BaseEstimator, folder: Path) -> Path:
    onnxlet.convert(estimator, folder / "converted")
    return folder / "converted" / "model.onnx"


def tree_node(path: Path) -> onnx.NodeProto:
    [node] = [node for node in onnx.load(path).graph.node if node.op_type in KINDS]
    return cast("onnx.NodeProto", node)


def written(**changes: object) -> onnx.NodeProto:
    attributes = {name: value for name, value in (SPLITS | changes).items() if value is not None}
    return helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)


def answers_of_onnxruntime(node: onnx.NodeProto, rows: Tensor, version: int = 3) -> Tensor:
    kind = TensorProto.DOUBLE if rows.dtype == np.float64 else TensorProto.FLOAT
    answered = TensorProto.DOUBLE if rows.dtype == np.float64 and version > 3 else TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("x", kind, [None, rows.shape[1]])],
        [helper.make_tensor_value_info("y", answered, [None, None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", version)], ir_version=10)
    [answers] = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": rows})
    return np.asarray(answers)


def answers_of(ensemble: Ensemble, rows: Tensor) -> Tensor:
    return np.array([answer(ensemble, row) for row in rows])


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("mode", ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"])
def test_every_mode_of_a_split_is_read_as_onnxruntime_takes_it(mode: str, missing: int) -> None:
    modes = [f"BRANCH_{mode}", "LEAF", f"BRANCH_{mode}", "LEAF", "LEAF"]
    node = written(nodes_modes=modes, nodes_missing_value_tracks_true=[missing] * 5)

    np.testing.assert_array_equal(
        answers_of(read_trees(node, np.dtype(np.float32)), ROWS), answers_of_onnxruntime(node, ROWS)
    )


def test_thresholds_that_single_precision_rounds_are_compared_as_it_does() -> None:
    thresholds = [0.1, 0.0, 0.3, 0.0, 0.0]
    node = written(nodes_values=thresholds)
    near = np.array(thresholds, dtype=np.float32)[[0, 2]]
    rows = np.concatenate([near, np.nextafter(near, np.float32(1)), np.nextafter(near, np.float32(0))])[:, None]

    np.testing.assert_array_equal(
        answers_of(read_trees(node, np.dtype(np.float32)), rows), answers_of_onnxruntime(node, rows)
    )


def test_an_average_of_trees_is_read_as_one() -> None:
    two = {
        name: [*values, *([1] * len(values) if name.endswith("treeids") else values)]
        for name, values in SPLITS.items()
        if isinstance(values, list)
    }
    node = written(**two, aggregate_function="AVERAGE", base_values=[10.0])

    np.testing.assert_array_equal(
        answers_of(read_trees(node, np.dtype(np.float32)), ROWS), answers_of_onnxruntime(node, ROWS)
    )


def test_a_tree_that_is_a_leaf_alone_is_a_constant() -> None:
    lists = {name: [*values] for name, values in SPLITS.items() if isinstance(values, list)}
    for name, value in (
        ("nodes_treeids", 1), ("nodes_nodeids", 0), ("nodes_featureids", 0), ("nodes_modes", "LEAF"),
        ("nodes_values", 0.0), ("nodes_truenodeids", 0), ("nodes_falsenodeids", 0), ("target_treeids", 1),
        ("target_nodeids", 0), ("target_ids", 0), ("target_weights", 100.0),
    ):  # fmt: skip
        lists[name].append(value)
    node = written(**lists)
    ensemble = read_trees(node, np.dtype(np.float32))

    assert len(ensemble.roots) == 1
    assert ensemble.base.tolist() == [100.0]
    np.testing.assert_array_equal(answers_of(ensemble, ROWS), answers_of_onnxruntime(node, ROWS))


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeRegressor(max_depth=4, random_state=0),
        RandomForestRegressor(4, max_depth=4, random_state=0),
        ExtraTreesRegressor(4, max_depth=4, random_state=0),
        GradientBoostingRegressor(n_estimators=4, random_state=0),
        HistGradientBoostingRegressor(max_iter=4, random_state=0),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_read_answers_as_the_estimator(estimator: BaseEstimator, tmp_path: Path) -> None:
    rows, target = data()
    estimator.fit(rows.astype(np.float64), target)
    node = tree_node(graph_of(estimator, tmp_path))

    ensemble = read_trees(node, np.dtype(np.float32))

    assert ensemble.knows_shares
    np.testing.assert_allclose(answers_of(ensemble, rows[:20])[:, 0], estimator.predict(rows[:20]), atol=1e-6)


def test_weights_of_nodes_are_scikit_learns_own(tmp_path: Path) -> None:
    rows, target = data()
    weights = np.random.default_rng(1).random(len(rows))
    forest = RandomForestRegressor(3, max_depth=4, random_state=0).fit(rows, target, sample_weight=weights)
    node = tree_node(graph_of(forest, tmp_path))
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}

    own = np.concatenate([each.tree_.weighted_n_node_samples for each in forest.estimators_])

    np.testing.assert_allclose(attributes["nodes_hitrates"], own, rtol=1e-6)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(4, max_depth=4, random_state=0),
        GradientBoostingClassifier(n_estimators=4, random_state=0),
        HistGradientBoostingClassifier(max_iter=4, random_state=0),
        HistGradientBoostingClassifier(max_iter=4, random_state=0, categorical_features=[3]),
    ],
    ids=["forest", "boosting", "histograms", "categories"],
)
def test_weights_of_nodes_change_no_answer_and_outlive_the_optimizer(estimator: BaseEstimator, tmp_path: Path) -> None:
    rows, target = data()
    rows[:, 3] = np.round(abs(rows[:, 3]))
    estimator.fit(rows.astype(np.float64), target > 0)
    path = graph_of(estimator, tmp_path)
    save_optimized(path, tmp_path / "optimized.onnx", weights_apart=False, optimize=True)
    bare = onnx.load(path)
    for node in bare.graph.node:
        kept = [each for each in node.attribute if not each.name.startswith("nodes_hitrates")]
        del node.attribute[:]
        node.attribute.extend(kept)
    sessions = [
        onnxruntime.InferenceSession(each)
        for each in (bare.SerializeToString(), path.read_bytes(), str(tmp_path / "optimized.onnx"))
    ]
    [name] = [each.name for each in sessions[0].get_inputs()]
    sent = rows.astype(np.float64 if "double" in sessions[0].get_inputs()[0].type else np.float32)

    without, plain, optimized = (session.run(None, {name: sent}) for session in sessions)

    for ours in (plain, optimized):
        assert all(np.array_equal(one, other) for one, other in zip(without, ours, strict=True))
    [node] = [each for each in onnx.load(tmp_path / "optimized.onnx").graph.node if each.op_type in KINDS]
    assert read_trees(node, np.dtype(np.float32)).knows_shares


@pytest.mark.parametrize("hitrates", [None, [1.0] * 5, [9.0, 4.0, 4.0, 2.0, 2.0], [2.0, 1.0, np.nan, 0.5, 0.5]])
def test_weights_that_are_none_are_not_known(hitrates: list[float] | None) -> None:
    assert not read_trees(written(nodes_hitrates=hitrates), np.dtype(np.float32)).knows_shares


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nodes_falsenodeids": [2, 0, 0, 0, 0]}, "circle"),
        ({"nodes_falsenodeids": [1, 0, 4, 0, 0], "nodes_truenodeids": [2, 0, 2, 0, 0]}, "circle"),
        ({"nodes_falsenodeids": [2, 0, 9, 0, 0]}, "does not exist"),
        ({"nodes_nodeids": [0, 1, 2, 3, 3]}, "one number"),
        ({"nodes_modes": ["BRANCH_ODD", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"]}, "unknown kind"),
        ({"aggregate_function": "MIN"}, "do not add up"),
        ({"nodes_modes": ["LEAF"] * 5}, "no splits"),
    ],
)
def test_trees_that_are_none_are_not_read(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableTreesError, match=reason):
        read_trees(written(**changes), np.dtype(np.float32))


def newer(**changes: object) -> onnx.NodeProto:
    attributes: dict[str, Any] = {
        "n_targets": 2,
        "nodes_modes": numpy_helper.from_array(np.array([0, 1], dtype=np.uint8)),
        "nodes_splits": numpy_helper.from_array(np.array([0.5, 0.25])),
        "nodes_featureids": [0, 0],
        "nodes_missing_value_tracks_true": [0, 1],
        "nodes_truenodeids": [0, 1],
        "nodes_trueleafs": [1, 1],
        "nodes_falsenodeids": [1, 2],
        "nodes_falseleafs": [0, 1],
        "leaf_targetids": [0, 0, 0],
        "leaf_weights": numpy_helper.from_array(np.array([1.0, 2.0, 4.0])),
        "tree_roots": [0],
    } | changes
    return helper.make_node("TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", **attributes)


def test_the_newer_operator_is_read_as_onnxruntime_takes_it() -> None:
    rows = ROWS.astype(np.float64)

    ensemble = read_trees(newer(), np.dtype(np.float64))

    np.testing.assert_array_equal(answers_of(ensemble, rows), answers_of_onnxruntime(newer(), rows, version=5))
    assert not ensemble.knows_shares


def test_splits_by_sets_are_not_read() -> None:
    with pytest.raises(UnreadableTreesError, match="one of a set"):
        read_trees(newer(nodes_modes=numpy_helper.from_array(np.array([6, 0], dtype=np.uint8))), np.dtype(np.float64))
