"""XGBoost's trees, read from the JSON that it writes of a model."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.tabular.category_columns import THRESHOLD, CategoryColumns
from onnxlet.toolchain.convert.tabular.forest import Tree, shares_of
from onnxlet.values.tensors import Tensor

ASCII = 128


def read_tree(tree: dict[str, Any], target: int, weight: float, categories: CategoryColumns) -> Tree:
    """One tree, whose leaves count `weight` times for the output `target`; with several numbers each, for all outputs.

    Its nodes are splits and leaves in one; a leaf's condition is its value, or its right child the number of its
    values. Splits by category are those of columns of `categories`.
    """
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    conditions = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    leaf = left < 0
    # the number that each node has among its own kind
    number = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
    split = ~leaf
    features = np.array(tree["split_indices"])
    for node, codes in _category_sets(tree).items():
        features[node] = _category_column(categories, int(features[node]), codes, bool(tree["default_left"][node]))
        conditions[node] = THRESHOLD
    weights = np.array(tree["sum_hessian"], dtype=np.float64)
    return Tree(
        features=features[split],
        thresholds=conditions[split],
        missing_left=np.array(tree["default_left"])[split].astype(bool),
        left=number[left[split]],
        right=number[right[split]],
        leaves=_leaves(tree, leaf, right, conditions) * weight,
        target=target,
        shares=shares_of(weights[left[split]], weights[right[split]]),
    )


def _leaves(tree: dict[str, Any], leaf: Tensor, right: Tensor, conditions: Tensor) -> Tensor:
    """The values of the leaves [leaves, outputs]."""
    size = int(tree["tree_param"]["size_leaf_vector"])
    if size <= 1:
        return np.asarray(conditions[leaf, None])
    values = np.array(tree["leaf_weights"], dtype=np.float32).astype(np.float64).reshape(-1, size)
    return np.asarray(values[right[leaf]])


def categories_of(model: dict[str, Any]) -> dict[int, list[Any]]:
    """The values of pandas' categories, by the position of the feature, where the model keeps them.

    Raises ConversionError for texts that are not ASCII.
    """
    encoded = model.get("cats", {}).get("enc", [])
    known = {at: _decode(each) for at, each in enumerate(encoded)}
    return {at: values for at, values in known.items() if values}


def _decode(encoded: dict[str, list[Any]]) -> list[Any]:
    """Numbers, or texts whose bytes stand one after the other. Raises ConversionError for texts that were cut off."""
    values, offsets = encoded["values"], encoded.get("offsets")
    if offsets is None:
        return list(values)
    if not all(0 <= value < ASCII for value in values):
        raise ConversionError(
            "the XGBoost model has categories that are not ASCII, of which XGBoost keeps as many bytes as they have "
            "letters, and then takes one for another: give them names in ASCII, or train on their codes, with "
            'feature_types "c"'
        )
    return [bytes(values[start:end]).decode() for start, end in pairwise(offsets)]


def _category_sets(tree: dict[str, Any]) -> dict[int, list[int]]:
    """The categories that go right, by the node that splits by them."""
    listed = tree.get("categories", [])
    each = (
        zip(tree.get("categories_nodes", []), tree["categories_segments"], tree["categories_sizes"], strict=True)
        if listed
        else ()
    )
    return {node: listed[start : start + size] for node, start, size in each}


def _category_column(categories: CategoryColumns, feature: int, right: list[int], missing_left: bool) -> int:
    """All that does not go right goes left; texts and numbers that are no category of pandas' are missing."""
    known = categories.known(feature)
    count = max(known, max(right) + 1)
    other_left = missing_left if known else True
    left = set(range(count)) - set(right)
    return categories.column(feature, left, missing_left=missing_left, other_left=other_left, count=count)
