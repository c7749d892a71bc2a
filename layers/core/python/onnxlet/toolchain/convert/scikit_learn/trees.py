"""Trees: what skl2onnx 1.20 leaves out: where missing values go, and the training weight of each node."""

from __future__ import annotations

from typing import Any

import numpy as np

_TRACKS, _WEIGHTS = "nodes_missing_value_tracks_true", "nodes_hitrates"


def patch_trees() -> None:
    """Let trees send missing values the way that they learned, and say how much of the training data came to each node.

    A split that separates missing values from all others has an infinite threshold. skl2onnx would look for the next
    smaller number forever.
    """
    from skl2onnx.common import tree_ensemble
    from skl2onnx.operator_converters import decision_tree, gradient_boosting, random_forest

    if isinstance(tree_ensemble.sklearn_threshold, _ThresholdConverter):
        return
    tree_ensemble.sklearn_threshold = _ThresholdConverter(tree_ensemble.sklearn_threshold)
    tracking = _TreeWriter(tree_ensemble.add_tree_to_attribute_pairs)
    for module in (decision_tree, gradient_boosting, random_forest):
        module.add_tree_to_attribute_pairs = tracking
    random_forest.add_tree_to_attribute_pairs_hist_gradient_boosting = _HistogramTreeWriter(
        tree_ensemble.add_tree_to_attribute_pairs_hist_gradient_boosting
    )


class _ThresholdConverter:
    """A threshold for the datatype of the inputs; an infinite one stays what it is."""

    def __init__(self, convert: Any) -> None:
        self._convert = convert

    def __call__(self, threshold: float, dtype: Any, mode: str) -> Any:
        return self._convert(threshold, dtype, mode) if np.isfinite(threshold) else threshold


class _TreeWriter:
    """Writes a tree down, which of its splits missing values pass to the left, and the training weight of its nodes."""

    def __init__(self, add: Any) -> None:
        self._add = add

    def __call__(
        self, attributes: dict[str, Any], classifies: bool, tree: Any, *positional: Any, **keywords: Any
    ) -> None:
        before = len(attributes[_TRACKS])
        self._add(attributes, classifies, tree, *positional, **keywords)
        splits = tree.children_left != tree.children_right
        attributes[_TRACKS][before:] = (splits & (tree.missing_go_to_left != 0)).astype(int).tolist()
        attributes[_WEIGHTS][before:] = tree.weighted_n_node_samples.tolist()


class _HistogramTreeWriter:
    """Writes a tree of HistGradientBoosting down, and how many training rows came to its nodes."""

    def __init__(self, add: Any) -> None:
        self._add = add

    def __call__(
        self, attributes: dict[str, Any], classifies: bool, tree: Any, *positional: Any, **keywords: Any
    ) -> None:
        before = len(attributes[_WEIGHTS])
        self._add(attributes, classifies, tree, *positional, **keywords)
        attributes[_WEIGHTS][before:] = tree.nodes["count"].astype(float).tolist()
