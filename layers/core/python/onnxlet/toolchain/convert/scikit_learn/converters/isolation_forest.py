"""IsolationForest as one ensemble of trees whose leaves are path lengths; skl2onnx writes many nodes for each.

The score is -2^(-depth / c) of the depths summed over all trees (Liu, Ting, Zhou: Isolation Forest, 2008), as
IsolationForest.score_samples computes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor

OPTIONS = {"score_samples": [True, False]}
_PAIR = 2


def declare(operator: Any) -> None:
    """Declare a label and a score."""
    from skl2onnx.common.data_types import Int64TensorType

    operator.outputs[0].type = Int64TensorType([None, 1])
    operator.outputs[1].type.shape = [None, 1]


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the trees, and the label and score by the depth that they add up to."""
    forest, nodes = operator.raw_operator, Nodes(scope, container)
    from skl2onnx.common.data_types import guess_proto_type

    datatype = guess_proto_type(operator.outputs[1].type)
    scale = len(forest.estimators_) * average_path_length(np.array([forest._max_samples]))[0]  # noqa: SLF001 - there is no public way
    features = nodes.add(
        "Cast", nodes.add("Cast", operator.inputs[0].full_name, to=TensorProto.FLOAT), to=TensorProto.DOUBLE
    )
    depth = nodes.add(
        "TreeEnsembleRegressor", features, op_domain="ai.onnx.ml", op_version=3, **_tree_attributes(forest)
    )
    # the offset is often the score of a row: compared as depths, both are rounded alike
    limit = np.float32(-scale * np.log2(-forest.offset_))
    outlying = nodes.add("Less", depth, nodes.constant(TensorProto.FLOAT, [1], [float(limit)]))
    signs = [nodes.constant(TensorProto.INT64, [1], [sign]) for sign in (-1, 1)]
    nodes.add("Where", outlying, *signs, output=operator.outputs[0].full_name)
    doubled = nodes.add("Cast", depth, to=TensorProto.DOUBLE)
    share = nodes.add("Div", doubled, nodes.constant(TensorProto.DOUBLE, [1], [-scale]))
    power = nodes.add("Pow", nodes.constant(TensorProto.DOUBLE, [1], [2.0]), share)
    score = nodes.add("Sub", nodes.constant(TensorProto.DOUBLE, [1], [-forest.offset_]), power)
    nodes.add("Cast", score, to=datatype, output=operator.outputs[1].full_name)


def average_path_length(samples: Tensor) -> Tensor:
    """How many more splits would isolate one of so many samples, on average."""
    count = samples.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        length = 2 * (np.log(count - 1) + np.euler_gamma) - 2 * (count - 1) / count
    return np.where(count <= 1, 0.0, np.where(count == _PAIR, 1.0, length))


def _tree_attributes(forest: Any) -> dict[str, Any]:
    """The attributes of a TreeEnsembleRegressor, whose values are double tensors."""
    parts = [
        _nodes_of(number, estimator.tree_, features)
        for number, (estimator, features) in enumerate(
            zip(forest.estimators_, forest.estimators_features_, strict=True)
        )
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    leaves = joined.pop("leaves")
    thresholds, lengths = joined.pop("thresholds"), joined.pop("lengths")
    tree, node = joined["nodes_treeids"], joined["nodes_nodeids"]
    return {
        **{name: values.astype(np.int64).tolist() for name, values in joined.items()},
        "nodes_modes": np.where(leaves, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values_as_tensor": numpy_helper.from_array(thresholds, "nodes_values_as_tensor"),
        "target_treeids": tree[leaves].tolist(),
        "target_nodeids": node[leaves].tolist(),
        "target_ids": [0] * int(leaves.sum()),
        "target_weights_as_tensor": numpy_helper.from_array(lengths[leaves], "target_weights_as_tensor"),
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }


def _nodes_of(number: int, tree: Any, features: Tensor) -> dict[str, Tensor]:
    leaves = tree.children_left == tree.children_right
    depth = tree.compute_node_depths() - 1
    return {
        "nodes_treeids": np.full(tree.node_count, number),
        "nodes_nodeids": np.arange(tree.node_count),
        "nodes_featureids": np.where(leaves, 0, features[np.where(leaves, 0, tree.feature)]),
        "nodes_truenodeids": np.where(leaves, 0, tree.children_left),
        "nodes_falsenodeids": np.where(leaves, 0, tree.children_right),
        "nodes_missing_value_tracks_true": ~leaves & (tree.missing_go_to_left != 0),
        "thresholds": np.where(leaves, 0.0, tree.threshold),
        "lengths": depth + average_path_length(tree.n_node_samples),
        "leaves": leaves,
    }
