"""Substitutes: transformers that stand for estimators which skl2onnx only knows as classifiers or clusterers.

Imported only where scikit-learn is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from onnxlet.values.tensors import Tensor


class LinearProjection(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Rows less `offset` [columns], times `matrix` [columns, features]."""

    def __init__(self, offset: Tensor | None, matrix: Tensor) -> None:
        self.offset = offset
        self.matrix = matrix
        self.n_features_in_ = len(matrix)

    def get_feature_names_out(self, _: Any = None) -> Tensor:
        """One name for each feature."""
        return np.array([f"x{index}" for index in range(self.matrix.shape[1])], dtype=object)


class CentreDistances(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """The distances of rows from `centres` [centres, columns]."""

    def __init__(self, centres: Tensor) -> None:
        self.centres = centres
        self.n_features_in_ = centres.shape[1]

    def get_feature_names_out(self, _: Any = None) -> Tensor:
        """One name for each centre."""
        return np.array([f"x{index}" for index in range(len(self.centres))], dtype=object)


def substitute(step: Any) -> Any:
    """What stands for a step that gives features to the next; the step itself where none need stand for it."""
    kind = type(step).__name__
    if kind in {"KMeans", "MiniBatchKMeans", "BisectingKMeans"}:
        return CentreDistances(step.cluster_centers_)
    if kind == "LinearDiscriminantAnalysis" and step.solver != "lsqr":
        offset = step.xbar_ if step.solver == "svd" else None
        return LinearProjection(offset, step.scalings_[:, : step._max_components])  # noqa: SLF001 - there is no public way
    if kind == "FeatureAgglomeration" and step.pooling_func is np.mean:
        groups = np.eye(step.n_clusters_)[step.labels_]
        return LinearProjection(None, groups / groups.sum(axis=0))
    return step
