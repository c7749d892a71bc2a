"""Tree nodes of a graph, as an Ensemble: TreeEnsembleClassifier and -Regressor, and TreeEnsemble, which followed them.

What their attributes mean is told by the operators of ai.onnx.ml.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnxlet.explain.trees.ensemble import EQ, GT, GTE, LEQ, LT, NEQ, Ensemble
from onnxlet.toolchain.prepare.trees.unreadable import UnreadableTreesError
from onnxlet.toolchain.workbench.trees import read_shares
from onnxlet.values.tensors import Tensor

KINDS = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble")
_MODES = {
    b"BRANCH_LEQ": LEQ,
    b"BRANCH_LT": LT,
    b"BRANCH_GTE": GTE,
    b"BRANCH_GT": GT,
    b"BRANCH_EQ": EQ,
    b"BRANCH_NEQ": NEQ,
}
_LEAF = b"LEAF"
_AVERAGE, _SUM = 0, 1
_AGGREGATES = {b"AVERAGE": _AVERAGE, b"SUM": _SUM}
_ROUNDING = 1e-4
"""How far the weights of a split's sides may sum from its own: libraries keep them in single precision."""
_TWO = 2


class _Structure(NamedTuple):
    """Splits of all trees in any order; children and leaves as an Ensemble has them."""

    columns: Tensor
    thresholds: Tensor
    modes: Tensor
    missing_true: Tensor
    shares: Tensor
    children: Tensor


class _Values(NamedTuple):
    """Leaf values as they are listed: value i is of the leaf `leaves` and goes to the output `outputs`."""

    leaves: Tensor
    outputs: Tensor
    values: Tensor


class _Sum(NamedTuple):
    """How leaves make the outputs: their number, the aggregate function, and what is added."""

    outputs: int
    aggregate: int
    base: Tensor


def read_trees(node: onnx.NodeProto, dtype: np.dtype[Any]) -> Ensemble:
    """The trees of a node whose features have this dtype. Raises UnreadableTreesError."""
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    read = _read_newer if node.op_type == "TreeEnsemble" else _read_older
    return read(node, attributes, dtype)


def _read_newer(node: onnx.NodeProto, attributes: dict[str, Any], dtype: np.dtype[Any]) -> Ensemble:
    """Splits and leaves are numbered apart."""
    modes = numpy_helper.to_array(attributes["nodes_modes"])
    if (modes > NEQ).any():
        raise UnreadableTreesError("a split asks whether a value is one of a set")
    columns = _integers(attributes, "nodes_featureids")
    children = np.stack(
        [
            np.where(
                _integers(attributes, f"nodes_{side}leafs") > 0,
                ~_integers(attributes, f"nodes_{side}nodeids"),
                _integers(attributes, f"nodes_{side}nodeids"),
            )
            for side in ("true", "false")
        ],
        axis=1,
    )
    structure = _Structure(
        columns,
        numpy_helper.to_array(attributes["nodes_splits"]).astype(dtype),
        modes,
        _flags(attributes, len(columns)),
        read_shares(node.doc_string, len(columns)),
        children,
    )
    values = numpy_helper.to_array(attributes["leaf_weights"]).astype(np.float64)
    listed = _Values(np.arange(len(values)), _integers(attributes, "leaf_targetids"), values)
    outputs = int(attributes.get("n_targets", 1))
    roots = _integers(attributes, "tree_roots")
    total = _Sum(outputs, int(attributes.get("aggregate_function", _SUM)), np.zeros(outputs))
    return _finish(structure, roots, listed, total)


def _read_older(node: onnx.NodeProto, attributes: dict[str, Any], dtype: np.dtype[Any]) -> Ensemble:
    """Splits and leaves are nodes of a tree, by two numbers."""
    kind = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    modes = np.array(attributes["nodes_modes"])
    is_leaf = modes == _LEAF
    if not set(modes[~is_leaf].tolist()) <= _MODES.keys():
        raise UnreadableTreesError("the trees have splits of an unknown kind")
    place = _Places(_integers(attributes, "nodes_treeids"), _integers(attributes, "nodes_nodeids"))
    number = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    trees = place.trees[~is_leaf]
    sides = [place.find(trees, _integers(attributes, f"nodes_{side}nodeids")[~is_leaf]) for side in ("true", "false")]
    weights = _numbers(attributes, "nodes_hitrates")
    structure = _Structure(
        _integers(attributes, "nodes_featureids")[~is_leaf],
        _numbers(attributes, "nodes_values")[~is_leaf].astype(dtype),
        np.array([_MODES[mode] for mode in modes[~is_leaf].tolist()], dtype=np.uint8),
        _flags(attributes, len(modes))[~is_leaf],
        _shares(weights, np.flatnonzero(~is_leaf), sides),
        number[np.stack(sides, axis=1)].reshape(-1, 2),
    )
    ends = place.find(_integers(attributes, f"{kind}_treeids"), _integers(attributes, f"{kind}_nodeids"))
    scored = _integers(attributes, f"{kind}_ids")
    outputs = int(attributes.get("n_targets", 1)) if kind == "target" else _count_classes(attributes, scored)
    if kind == "class" and outputs == 1:
        scored = np.zeros_like(scored)
    listed = _Values(~number[ends], scored, _numbers(attributes, f"{kind}_weights"))
    of_leaves = listed.leaves >= 0
    base = _numbers(attributes, "base_values")
    total = _Sum(
        outputs,
        _AGGREGATES.get(attributes.get("aggregate_function", b"SUM"), -1),
        np.broadcast_to(base, outputs).copy() if len(base) else np.zeros(outputs),
    )
    listed = _Values(*(each[of_leaves] for each in listed))
    return _finish(structure, number[place.roots()], listed, total)


class _Places:
    """Where a node stands in the attributes, by the numbers of its tree and its own."""

    def __init__(self, trees: Tensor, nodes: Tensor) -> None:
        self.trees = trees
        self._width = int(nodes.max(initial=0)) + 1
        keys = trees * self._width + nodes
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]
        if (np.diff(self._sorted) == 0).any():
            raise UnreadableTreesError("two nodes of a tree have one number")

    def find(self, trees: Tensor, nodes: Tensor) -> Tensor:
        """The positions of nodes."""
        keys = trees * self._width + nodes
        at = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        if not np.array_equal(self._sorted[at], keys):
            raise UnreadableTreesError("a split points to a node that does not exist")
        return np.asarray(self._order[at])

    def roots(self) -> Tensor:
        """The first node of each tree that is listed, as ONNX Runtime takes it."""
        return np.unique(self.trees, return_index=True)[1]


def _count_classes(attributes: dict[str, Any], scored: Tensor) -> int:
    """Of two classes one score may tell both."""
    classes = len(attributes.get("classlabels_strings", ()) or attributes.get("classlabels_int64s", ()))
    return 1 if classes <= _TWO and len(np.unique(scored)) == 1 else classes


def _shares(weights: Tensor, splits: Tensor, sides: list[Tensor]) -> Tensor:
    """What goes the way of true of the weights of the nodes; nan for weights that are none, such as ones for all."""
    if not len(weights) or not len(splits):
        return np.full(len(splits), np.nan)
    true, false = (weights[side] for side in sides)
    own = weights[splits]
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (abs(true + false - own) <= _ROUNDING * own).all()):
        return np.full(len(splits), np.nan)
    whole = true + false
    shares: Tensor = np.divide(true, whole, out=np.full(len(splits), 0.5), where=whole > 0)
    return shares


def _finish(structure: _Structure, roots: Tensor, listed: _Values, total: _Sum) -> Ensemble:
    """The ensemble of these splits, each tree's together and those above before those below."""
    if total.aggregate not in (_AVERAGE, _SUM):
        raise UnreadableTreesError("the trees do not add up, but give the least or the most")
    scale = 1 / len(roots) if total.aggregate == _AVERAGE else 1.0
    count = int(max(-structure.children.min(initial=0), -roots.min(initial=0), listed.leaves.max(initial=-1) + 1))
    leaves = np.zeros((count, total.outputs))
    np.add.at(leaves, (listed.leaves, listed.outputs), listed.values * scale)
    # trees of a leaf alone give everybody the same
    base = total.base + leaves[~roots[roots < 0]].sum(axis=0)
    splits, trees = _order(structure.children, roots[roots >= 0])
    position = np.empty(len(structure.columns), dtype=np.int64)
    position[splits] = np.arange(len(splits))
    children = structure.children[splits]
    children = np.where(children >= 0, position[np.maximum(children, 0)], children)
    starts = np.flatnonzero(np.diff(trees, prepend=-1)) if len(trees) else np.empty(0, dtype=np.int64)
    targets = _targets(children, trees, leaves, len(starts))
    ends = ~children[children < 0]
    if targets is not None:
        of_leaf = np.zeros(len(leaves), dtype=np.int64)
        of_leaf[ends] = targets[np.broadcast_to(trees[:, None], children.shape)[children < 0]]
        leaves = np.take_along_axis(leaves, of_leaf[:, None], axis=1)
    arranged = _Structure(*(each[splits] for each in structure))._replace(children=children)
    return Ensemble(
        columns=arranged.columns.astype(np.int32),
        thresholds=arranged.thresholds,
        modes=arranged.modes.astype(np.uint8),
        missing_true=arranged.missing_true,
        shares=arranged.shares,
        children=children.astype(np.int32),
        leaves=leaves,
        roots=starts.astype(np.int32),
        targets=(np.zeros(len(starts)) if targets is None else targets).astype(np.int32),
        base=base,
    )


def _order(children: Tensor, roots: Tensor) -> tuple[Tensor, Tensor]:
    """The splits below the roots and the number of each one's tree, tree by tree, from above. Raises for a circle."""
    level, trees = roots, np.arange(len(roots))
    found, of_tree, count = [], [], 0
    while len(level):
        found.append(level)
        of_tree.append(trees)
        count += len(level)
        if count > len(children):
            raise UnreadableTreesError("the trees run in a circle")
        below = children[level].reshape(-1)
        trees = np.repeat(trees, 2)[below >= 0]
        level = below[below >= 0]
    if not found:
        raise UnreadableTreesError("the trees have no splits")
    splits, numbers = np.concatenate(found), np.concatenate(of_tree)
    if len(np.unique(splits)) < len(splits):
        raise UnreadableTreesError("two splits share what is below them")
    order = np.argsort(numbers, kind="stable")
    return splits[order], numbers[order]


def _targets(children: Tensor, trees: Tensor, leaves: Tensor, count: int) -> Tensor | None:
    """The one output that each tree's leaves go to; None if some tree's go to several."""
    at_leaf = children < 0
    used = np.zeros((count, leaves.shape[1]), dtype=bool)
    np.logical_or.at(used, np.broadcast_to(trees[:, None], children.shape)[at_leaf], leaves[~children[at_leaf]] != 0)
    return used.argmax(axis=1) if (used.sum(axis=1) <= 1).all() else None


def _integers(attributes: dict[str, Any], name: str) -> Tensor:
    return np.array(attributes.get(name, ()), dtype=np.int64)


def _numbers(attributes: dict[str, Any], name: str) -> Tensor:
    """An attribute of single numbers, or the tensor that it may be instead."""
    tensor = attributes.get(f"{name}_as_tensor")
    return np.asarray(attributes.get(name, ()) if tensor is None else numpy_helper.to_array(tensor), dtype=np.float64)


def _flags(attributes: dict[str, Any], count: int) -> Tensor:
    flags = _integers(attributes, "nodes_missing_value_tracks_true")
    return flags > 0 if len(flags) else np.zeros(count, dtype=bool)
