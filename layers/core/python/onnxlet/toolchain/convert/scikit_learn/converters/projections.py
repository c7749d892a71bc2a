"""Projections: what multiplies rows by a matrix, in double precision, where skl2onnx 1.20 has no converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor

Projection = tuple[Tensor | None, Tensor]
"""What is taken away from rows first [columns], and the matrix [columns, features]."""


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write (x - offset) times the matrix."""
    nodes = Nodes(scope, container)
    offset, matrix = PROJECTIONS[type(operator.raw_operator).__name__](operator.raw_operator)
    rows = nodes.rows(operator)
    rows = rows if offset is None else nodes.add("Sub", rows, nodes.doubles(np.asarray(offset)[None]))
    nodes.write_rows(nodes.add("MatMul", rows, nodes.doubles(matrix)), operator.outputs[0])


def _independent_components(part: Any) -> Projection:
    return (part.mean_ if part.whiten else None), part.components_.T


def _factors(part: Any) -> Projection:
    weights = part.components_ / part.noise_variance_
    covariance = np.linalg.inv(np.eye(len(part.components_)) + weights @ part.components_.T)
    return part.mean_, weights.T @ covariance


def _random_directions(part: Any) -> Projection:
    return None, part.components_.T.toarray()


def _substituted(part: Any) -> Projection:
    return part.offset, part.matrix


PROJECTIONS: Mapping[str, Callable[[Any], Projection]] = MappingProxyType(
    {
        "FastICA": _independent_components,
        "FactorAnalysis": _factors,
        "SparseRandomProjection": _random_directions,
        "LinearProjection": _substituted,
    }
)
"""By class: its offset and matrix."""
