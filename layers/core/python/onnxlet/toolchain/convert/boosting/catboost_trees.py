"""CatBoost's trees, oblivious or not, read from the JSON that it writes of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from onnxlet.toolchain.convert.tabular.category_columns import THRESHOLD, CategoryColumns
from onnxlet.toolchain.convert.tabular.forest import Tree, shares_of
from onnxlet.values.tensors import Tensor


class _Split(NamedTuple):
    """Left where the feature is no greater than the border."""

    feature: int
    border: float
    missing_left: bool


class TreeReader:
    """Reads trees whose splits by category become splits by columns of `columns`."""

    def __init__(self, document: dict[str, Any], columns: CategoryColumns) -> None:
        self._document = document
        self._columns = columns
        features = document["features_info"].get("float_features", [])
        self._position = {feature["feature_index"]: feature["flat_feature_index"] for feature in features}
        # a missing value is no greater than any border, unless it counts as greater than all
        self._right = {feature["feature_index"] for feature in features if feature["nan_value_treatment"] == "AsTrue"}
        self._categorical = {
            feature["feature_index"]: feature["flat_feature_index"]
            for feature in document["features_info"].get("categorical_features", [])
        }
        self._hashes = category_hashes(document)

    def read(self) -> list[Tree]:
        """All trees of the model."""
        if "oblivious_trees" in self._document:
            return [self._symmetric_tree(tree) for tree in self._document["oblivious_trees"]]
        return [self._nested_tree(tree) for tree in self._document["trees"]]

    def _split(self, written: Mapping[str, Any]) -> _Split:
        if "cat_feature_index" in written:
            feature = self._categorical[written["cat_feature_index"]]
            known = self._hashes[feature]
            # all other categories go left, and so do unknown ones
            left = set(range(len(known))) - {known.index(written["value"])}
            column = self._columns.column(feature, left, missing_left=True, other_left=True, count=len(known))
            return _Split(column, THRESHOLD, missing_left=True)
        feature = written["float_feature_index"]
        border = float(np.float32(written["border"]))
        return _Split(self._position[feature], border, feature not in self._right)

    def _symmetric_tree(self, tree: dict[str, Any]) -> Tree:
        """All splits of a level are the same; the last is the root's, and bit i of a leaf's number is split i's."""
        splits = [self._split(written) for written in tree["splits"][::-1]]
        levels = np.repeat(np.arange(len(splits)), 1 << np.arange(len(splits)))
        count = len(levels)
        children = np.arange(2 * count).reshape(-1, 2) + 1
        numbers = np.where(children < count, children, ~(children - count))
        return Tree(
            features=np.array([split.feature for split in splits], dtype=np.int64)[levels],
            thresholds=np.array([split.border for split in splits], dtype=np.float64)[levels],
            missing_left=np.array([split.missing_left for split in splits], dtype=bool)[levels],
            left=numbers[:, 0],
            right=numbers[:, 1],
            leaves=np.array(tree["leaf_values"], dtype=np.float64).reshape(1 << len(splits), -1),
            shares=_level_shares(tree.get("leaf_weights", ()), len(splits)),
        )

    def _nested_tree(self, tree: dict[str, Any]) -> Tree:
        """A tree of nested nodes, flattened."""
        splits: list[_Split] = []
        children: list[list[int]] = []
        leaves: list[list[float]] = []
        weights: list[float] = []
        pending: list[tuple[dict[str, Any], int, int]] = [(tree, -1, 0)]
        while pending:
            node, parent, side = pending.pop()
            if "split" in node:
                number = len(splits)
                splits.append(self._split(node["split"]))
                children.append([0, 0])
                pending += [(node["left"], number, 0), (node["right"], number, 1)]
            else:
                number = ~len(leaves)
                leaves.append(np.atleast_1d(node["value"]).tolist())
                weights.append(node.get("weight", np.nan))
            if parent >= 0:
                children[parent][side] = number
        numbers = np.array(children, dtype=np.int64).reshape(-1, 2)
        return Tree(
            features=np.array([split.feature for split in splits], dtype=np.int64),
            thresholds=np.array([split.border for split in splits], dtype=np.float64),
            missing_left=np.array([split.missing_left for split in splits], dtype=bool),
            left=numbers[:, 0],
            right=numbers[:, 1],
            leaves=np.array(leaves, dtype=np.float64),
            shares=_nested_shares(weights, numbers),
        )


def _level_shares(weights: Sequence[float], depth: int) -> Tensor | None:
    """What goes left at the splits of a symmetric tree, level by level, by the weights of its leaves."""
    if len(weights) != 1 << depth:
        return None
    levels = [np.array(weights, dtype=np.float64).reshape(-1, 2)] if depth else []
    while len(levels) < depth:
        levels.insert(0, levels[0].sum(axis=1).reshape(-1, 2))
    pairs = np.concatenate([*levels, np.empty((0, 2))])
    return shares_of(pairs[:, 0], pairs[:, 1])


def _nested_shares(weights: Sequence[float], children: Tensor) -> Tensor | None:
    """The same for splits that come after the splits above them."""
    leaves = np.array(weights, dtype=np.float64)
    if np.isnan(leaves).any():
        return None
    below = np.zeros((len(children), 2))
    for split in range(len(children) - 1, -1, -1):
        below[split] = [below[child].sum() if child >= 0 else leaves[~child] for child in children[split]]
    return shares_of(below[:, 0], below[:, 1])


def category_hashes(document: Mapping[str, Any]) -> dict[int, Sequence[int]]:
    """The hashes of the categories that trees split by one by one, by the position of the feature."""
    features = document["features_info"].get("categorical_features", ())
    return {feature["flat_feature_index"]: feature.get("values", ()) for feature in features}


def statistics_of_target(document: Mapping[str, Any]) -> list[int]:
    """The positions of features whose categories are replaced by statistics of the target (CTRs)."""
    features = document["features_info"].get("categorical_features", ())
    position = {feature["feature_index"]: feature["flat_feature_index"] for feature in features}
    elements = [each for ctr in document["features_info"].get("ctrs", ()) for each in ctr["elements"]]
    used = {position[each["cat_feature_index"]] for each in elements if "cat_feature_index" in each}
    return sorted(used)
