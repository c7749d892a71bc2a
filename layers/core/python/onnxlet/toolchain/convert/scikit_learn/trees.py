"""Trees: missing values go where scikit-learn sends them, which skl2onnx 1.20 leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np

_TRACKS = "nodes_missing_value_tracks_true"


def patch_trees() -> None:
    """Let trees send missing values the way that they learned.

    A split that separates missing values from all others has an infinite threshold. skl2onnx would look for the next
    smaller number forever.
    """
    from skl2onnx.common import tree_ensemble
    from skl2onnx.operator_converters import decision_tree, random_forest

    if isinstance(tree_ensemble.sklearn_threshold, _ThresholdConverter):
        return
    tree_ensemble.sklearn_threshold = _ThresholdConverter(tree_ensemble.sklearn_threshold)
    tracking = _TreeWriter(tree_ensemble.add_tree_to_attribute_pairs)
    decision_tree.add_tree_to_attribute_pairs = random_forest.add_tree_to_attribute_pairs = tracking


class _ThresholdConverter:
    """A threshold for the datatype of the inputs; an infinite one stays what it is."""

    def __init__(self, convert: Any) -> None:
        self._convert = convert

    def __call__(self, threshold: float, dtype: Any, mode: str) -> Any:
        return self._convert(threshold, dtype, mode) if np.isfinite(threshold) else threshold


class _TreeWriter:
    """Writes a tree down, and which of its splits missing values pass to the left."""

    def __init__(self, add: Any) -> None:
        self._add = add

    def __call__(
        self, attributes: dict[str, Any], classifies: bool, tree: Any, *positional: Any, **keywords: Any
    ) -> None:
        before = len(attributes[_TRACKS])
        self._add(attributes, classifies, tree, *positional, **keywords)
        splits = tree.children_left != tree.children_right
        attributes[_TRACKS][before:] = (splits & (tree.missing_go_to_left != 0)).astype(int).tolist()
