"""Forests: the trees of boosting libraries, written as one ONNX node.

Values are compared, and leaves added up, in the library's own precision and order. So a value goes the same way at
every split, and margins are rounded alike. The node is TreeEnsemble of the operator set ai.onnx.ml 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import numpy_helper

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.workbench.probing_rows import Interval, Knowledge, Threshold
from onnxlet.toolchain.workbench.trees import write_shares
from onnxlet.values.tensors import Tensor

LEQ, LT = 0, 1
"""Modes of a split, as TreeEnsemble numbers them: left if the value is at most the threshold, or below it."""

SENTINEL_THRESHOLD = 1e30
"""Thresholds beyond it only separate missing values from others."""
MOST_SPLITS = 20_000
"""So many splits are looked at to make probing rows."""


@dataclass(frozen=True)
class Tree:
    """Splits as parallel arrays [splits]; a child c >= 0 is a split, a child c < 0 is the leaf ~c.

    `leaves` is [leaves, outputs], and the first of its columns goes to the forest's output number `target`.
    `shares` are the parts of each split's training weight that went left, where the library tells.
    """

    features: Tensor
    thresholds: Tensor
    missing_left: Tensor
    left: Tensor
    right: Tensor
    leaves: Tensor
    target: int = 0
    shares: Tensor | None = None


@dataclass(frozen=True)
class Forest:
    """Trees whose leaves, times `scale`, add up to `outputs` margins per row, on top of `base` [outputs].

    The dtype of `base` is the precision in which the library adds.
    """

    trees: Sequence[Tree]
    outputs: int
    mode: int
    base: Tensor
    scale: float = 1.0

    def write(self, graph: GraphWriter, features: str) -> str:
        """Append the forest to a graph with `features` [N, columns]; returns its margins [N, outputs] in float64.

        Raises ConversionError for a forest of no trees.
        """
        if not self.trees:
            raise ConversionError("the model holds no trees: train it")
        precision = self.base.dtype
        table = _NodeTable()
        base = self.base.copy()
        for tree in self.trees:
            for target, column in enumerate(tree.leaves.T * self.scale, tree.target):
                # the libraries start from the base, and so does its first tree here
                table.append(tree, column.astype(precision) + base[target], target)
                base[target] = 0
        margins = graph.add(
            "TreeEnsemble",
            graph.to_float(features) if precision == np.float32 else graph.to_double(features),
            domain="ai.onnx.ml",
            n_targets=self.outputs,
            nodes_modes=numpy_helper.from_array(np.full(table.splits, self.mode, dtype=np.uint8)),
            nodes_splits=numpy_helper.from_array(np.concatenate(table.thresholds).astype(precision)),
            leaf_weights=numpy_helper.from_array(np.concatenate(table.leaves)),
            tree_roots=table.roots,
            **table.told_shares(),
            **{name: np.concatenate(parts).astype(np.int64).tolist() for name, parts in table.integers.items()},
        )
        return graph.to_double(margins)

    def sample_rows(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Rows for comparisons [count, width]: values around, and exactly at, what the trees split by; some missing.

        All are float32 numbers, for these are what the splits of every library agree on.
        """
        rows = random.standard_normal((count, width))
        for feature, thresholds in self._thresholds():
            if feature >= width:
                # a column of categories
                continue
            known = np.unique(thresholds[np.abs(thresholds) < SENTINEL_THRESHOLD])
            if not len(known):
                continue
            spread = float(known[-1] - known[0]) or max(abs(float(known[0])), 1.0)
            near = random.choice(known, count) + random.normal(0, 0.1 * spread, count)
            at = random.random(count) < 0.1  # noqa: PLR2004 - a share
            rows[:, feature] = np.where(at, random.choice(known, count), near)
        rows[random.random(rows.shape) < 0.02] = np.nan  # noqa: PLR2004 - a share
        return rows.astype(np.float32).astype(np.float64)

    def known_columns(self, names: Sequence[str]) -> Knowledge:
        """The thresholds of its splits, with the intervals of columns that lead to each."""
        thresholds: list[Threshold] = []
        for tree in self.trees:
            waiting: list[tuple[int, dict[str, Interval]]] = [(0, {})] if len(tree.features) else []
            while waiting and len(thresholds) < MOST_SPLITS:
                split, within = waiting.pop()
                feature, value = int(tree.features[split]), float(tree.thresholds[split])
                below, above = within, within
                # further features are categories
                if feature < len(names) and abs(value) < SENTINEL_THRESHOLD:
                    name = names[feature]
                    thresholds.append(Threshold(name, value, within))
                    low, high = within.get(name, (-np.inf, np.inf))
                    below = {**within, name: (low, min(high, value))}
                    above = {**within, name: (max(low, value), high)}
                children = ((int(tree.left[split]), below), (int(tree.right[split]), above))
                waiting += [(child, reach) for child, reach in children if child >= 0]
        return Knowledge(thresholds)

    def _thresholds(self) -> Iterator[tuple[int, Tensor]]:
        features = np.concatenate([tree.features for tree in self.trees])
        thresholds = np.concatenate([tree.thresholds for tree in self.trees])
        for feature in np.unique(features):
            yield int(feature), thresholds[features == feature]


class _NodeTable:
    """TreeEnsemble's attributes being filled: all splits of all trees, and all leaves."""

    def __init__(self) -> None:
        self.splits = 0
        self.roots: list[int] = []
        self.thresholds: list[Tensor] = []
        self.leaves: list[Tensor] = []
        self.shares: list[Tensor | None] = []
        self.integers: dict[str, list[Tensor]] = {
            name: []
            for name in (
                "nodes_featureids",
                "nodes_missing_value_tracks_true",
                "nodes_truenodeids",
                "nodes_trueleafs",
                "nodes_falsenodeids",
                "nodes_falseleafs",
                "leaf_targetids",
            )
        }
        self._leaf_count = 0

    def append(self, tree: Tree, leaves: Tensor, target: int) -> None:
        """Append one tree with one value per leaf; a tree without splits gets one whose sides are equal."""
        if not len(tree.features):
            zero = np.zeros(1, dtype=np.int64)
            half = None if tree.shares is None else zero + 0.5
            tree = replace(tree, features=zero, thresholds=zero, missing_left=zero, left=~zero, right=~(zero + 1))
            tree = replace(tree, shares=half)
            leaves = np.repeat(leaves, 2)
        self.roots.append(self.splits)
        self.thresholds.append(tree.thresholds)
        self.leaves.append(leaves)
        self.shares.append(tree.shares)
        self._extend("nodes_featureids", tree.features)
        self._extend("nodes_missing_value_tracks_true", tree.missing_left)
        for side, children in (("true", tree.left), ("false", tree.right)):
            self._extend(f"nodes_{side}leafs", children < 0)
            self._extend(
                f"nodes_{side}nodeids",
                np.where(children < 0, self._leaf_count + ~children, self.splits + children),
            )
        self._extend("leaf_targetids", np.full(len(leaves), target))
        self.splits += len(tree.features)
        self._leaf_count += len(leaves)

    def told_shares(self) -> dict[str, str]:
        """What the node says of its splits' shares; nothing if some tree does not know them."""
        known = [shares for shares in self.shares if shares is not None]
        return {"doc_string": write_shares(np.concatenate(known))} if len(known) == len(self.shares) else {}

    def _extend(self, name: str, values: Tensor) -> None:
        self.integers[name].append(values)


def shares_of(left: Tensor, right: Tensor) -> Tensor:
    """The part of the training weight that goes left, of what goes to either side; half where that is nothing."""
    whole = left + right
    shares: Tensor = np.divide(left, whole, out=np.full(len(whole), 0.5), where=whole > 0)
    return shares
