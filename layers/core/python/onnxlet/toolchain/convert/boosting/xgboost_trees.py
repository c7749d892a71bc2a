"""XGBoost's trees, read from the JSON that it writes of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlet.toolchain.convert.boosting.forest import Tree


def read_tree(tree: dict[str, Any], target: int, weight: float) -> Tree:
    """One tree, whose leaves count `weight` times for the output `target`.

    Its nodes are splits and leaves in one; a leaf's condition is its value.
    """
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    conditions = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    leaf = left < 0
    # the number that each node has among its own kind
    number = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
    split = ~leaf
    return Tree(
        features=np.array(tree["split_indices"])[split],
        thresholds=conditions[split],
        missing_left=np.array(tree["default_left"])[split].astype(bool),
        left=number[left[split]],
        right=number[right[split]],
        leaves=conditions[leaf, None] * weight,
        target=target,
    )
