"""Forests of decision trees: all trees walk down one level at a time, each row with its own place in each tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.toolchain.export.operators.call import ML, NodeCall, operator
from onnxlet.toolchain.export.operators.classical import transformed
from onnxlet.values.tensors import Tensor

_MODES = {
    "BRANCH_LEQ": tf.less_equal,
    "BRANCH_LT": tf.less,
    "BRANCH_GTE": tf.greater_equal,
    "BRANCH_GT": tf.greater,
    "BRANCH_EQ": tf.equal,
    "BRANCH_NEQ": tf.not_equal,
}
_NUMBERED = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
"""The modes as TreeEnsemble numbers them."""
_DEEPEST = 64


@dataclass(frozen=True)
class TreeEnsemble:
    """Nodes of all trees as parallel arrays. A leaf's children are itself; its `weights` are [nodes, targets]."""

    mode: str
    features: Tensor
    thresholds: Tensor
    missing_true: Tensor
    true: Tensor
    false: Tensor
    weights: Tensor
    roots: Tensor

    def depth(self) -> int:
        """The longest way down."""
        level, places = 0, self.roots
        while True:
            below = np.unique(np.concatenate([self.true[places], self.false[places]]))
            if np.array_equal(below, np.unique(places)) or level > _DEEPEST:
                return level
            level, places = level + 1, below

    def leaves(self, call: NodeCall, x: Any) -> Any:
        """The weights of the leaves that each row comes to, [N, trees, targets]."""
        depth = self.depth()
        if depth > _DEEPEST:
            raise call.refuse(f"has trees of more than {_DEEPEST} levels")
        x = tf.convert_to_tensor(x)
        compare, thresholds = _MODES[self.mode], self.thresholds.astype(x.dtype.as_numpy_dtype)
        place = tf.tile(tf.constant(self.roots, tf.int32)[None, :], [tf.shape(x)[0], 1])
        for _ in range(depth):
            value = tf.gather(x, tf.gather(self.features, place), batch_dims=1)
            yes = compare(value, tf.gather(thresholds, place))
            yes |= tf.math.is_nan(value) & tf.gather(self.missing_true, place)
            place = tf.where(yes, tf.gather(self.true, place), tf.gather(self.false, place))
        return tf.gather(self.weights, place)


@operator("TreeEnsembleRegressor", domain=ML)
def regressor(call: NodeCall) -> Any:
    """The trees' sum, mean, least or largest value."""
    forest = _numbered_forest(call, "target", call.attribute("n_targets", 1))
    values = forest.leaves(call, tf.cast(call[0], tf.float32))
    match call.attribute("aggregate_function", "SUM"):
        case "SUM":
            scores = tf.reduce_sum(values, 1)
        case "AVERAGE":
            scores = tf.reduce_mean(values, 1)
        case other:
            raise call.refuse(f"takes the {other} of its trees, which is not translated")
    return transformed(call, scores + _base(call, forest))


@operator("TreeEnsembleClassifier", domain=ML)
def classifier(call: NodeCall) -> Any:
    """The class of the largest sum, and the sums."""
    numbers, texts = call.attribute("classlabels_int64s"), call.attribute("classlabels_strings")
    labels = numbers or [text.decode() for text in texts]
    used = set(call.attribute("class_ids"))
    forest = _numbered_forest(call, "class", max(len(labels), 1))
    scores = tf.reduce_sum(forest.leaves(call, tf.cast(call[0], tf.float32)), 1)
    classes = tf.constant(labels, tf.int64) if numbers else tf.constant(labels)
    two = 2
    if len(labels) == two and len(used) == 1:
        return _of_two(call, scores[:, next(iter(used))], classes)
    scores += _base(call, forest)
    return tf.gather(classes, tf.argmax(scores, -1)), transformed(call, scores)


def _of_two(call: NodeCall, score: Any, classes: Any) -> Any:
    """Two classes, of which the trees score one."""
    score += float(sum(call.attribute("base_values") or [0.0]))
    match call.attribute("post_transform", "NONE"):
        case "NONE":
            probability, likely = score, score > 0.5  # noqa: PLR2004 - what ONNX Runtime does
            if (np.array(call.attribute("class_weights")) < 0).any():
                raise call.refuse("scores one class of two by margins, which is not translated")
        case "LOGISTIC":
            probability, likely = tf.sigmoid(score), score > 0
        case other:
            raise call.refuse(f"ends with {other!r} for two classes, which is not translated")
    return tf.gather(classes, tf.cast(likely, tf.int32)), tf.stack([1 - probability, probability], -1)


@operator("TreeEnsemble", domain=ML)
def ensemble(call: NodeCall) -> Any:
    """The trees' sum, in the precision of its input."""
    if call.attribute("aggregate_function", 1) != 1 or call.attribute("post_transform", 0):
        raise call.refuse("does more than add its trees up, which is not translated")
    if call.attribute("membership_values") is not None:
        raise call.refuse("splits by membership in sets, which is not translated")
    return tf.reduce_sum(_plain_forest(call).leaves(call, call[0]), 1)


def _base(call: NodeCall, forest: TreeEnsemble) -> Tensor:
    base = call.attribute("base_values")
    return np.array(base, np.float32) if base else np.zeros(forest.weights.shape[1], np.float32)


def _numbered_forest(call: NodeCall, kind: str, targets: int) -> TreeEnsemble:
    """The nodes of TreeEnsembleRegressor and -Classifier, which are found by tree and number."""
    modes = [mode.decode() for mode in call.attribute("nodes_modes")]
    trees, numbers = call.attribute("nodes_treeids"), call.attribute("nodes_nodeids")
    position = {key: index for index, key in enumerate(zip(trees, numbers, strict=True))}
    own = np.arange(len(modes))
    leaf = np.array([mode == "LEAF" for mode in modes])
    true, false = (
        np.where(leaf, own, [position.get((tree, child), 0) for tree, child in zip(trees, children, strict=True)])
        for children in (call.attribute("nodes_truenodeids"), call.attribute("nodes_falsenodeids"))
    )
    weights = np.zeros((len(modes), targets), np.float32)
    parts = (call.attribute(f"{kind}_{part}") for part in ("treeids", "nodeids", "ids", "weights"))
    for tree, number, target, weight in zip(*parts, strict=True):
        weights[position[tree, number], target] += np.float32(weight)
    children = np.concatenate([true[~leaf], false[~leaf]])
    return TreeEnsemble(
        mode=_one_mode(call, {mode for mode in modes if mode != "LEAF"}),
        features=np.array(call.attribute("nodes_featureids"), np.int32),
        thresholds=np.array(call.attribute("nodes_values"), np.float32),
        missing_true=np.array(call.attribute("nodes_missing_value_tracks_true") or [0] * len(modes), dtype=bool),
        true=true.astype(np.int32),
        false=false.astype(np.int32),
        weights=weights,
        roots=np.setdiff1d(own, children).astype(np.int32),
    )


def _plain_forest(call: NodeCall) -> TreeEnsemble:
    """The splits of TreeEnsemble, its leaves behind them."""
    splits = call.attribute("nodes_splits")
    leaves, targets = call.attribute("leaf_weights"), call.attribute("leaf_targetids")
    count = len(splits)
    own = np.arange(count + len(leaves))

    def children(side: str) -> Tensor:
        place = np.array(call.attribute(f"nodes_{side}nodeids"))
        leafy = np.array(call.attribute(f"nodes_{side}leafs"), dtype=bool)
        return np.concatenate([np.where(leafy, place + count, place), own[count:]]).astype(np.int32)

    weights = np.zeros((len(own), call.attribute("n_targets", 1)), leaves.dtype)
    weights[own[count:], targets] = leaves
    none = np.zeros(len(leaves))
    missing = call.attribute("nodes_missing_value_tracks_true") or [0] * count
    return TreeEnsemble(
        mode=_one_mode(call, {_NUMBERED[mode] for mode in np.unique(call.attribute("nodes_modes"))}),
        features=np.concatenate([call.attribute("nodes_featureids"), none]).astype(np.int32),
        thresholds=np.concatenate([splits, none]),
        missing_true=np.concatenate([missing, none]).astype(bool),
        true=children("true"),
        false=children("false"),
        weights=weights,
        roots=np.array(call.attribute("tree_roots"), np.int32),
    )


def _one_mode(call: NodeCall, modes: set[str]) -> str:
    if len(modes) > 1:
        raise call.refuse(f"splits in several ways ({', '.join(sorted(modes))}), which is not translated")
    return next(iter(modes), "BRANCH_LEQ")
