"""Rows of many predictions below each other, so that each column is counted once for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from onnxlet.values.tensors import Tensor, Tensors

Parts = tuple[Mapping[str, Tensor], Mapping[str, Tensor]]
"""Inputs and outputs of one prediction."""


def stack(predictions: Sequence[Parts]) -> list[tuple[Tensors, Tensors]]:
    """Predictions of one signature, joined where all tensors have the same shape but for rows."""
    shapes: dict[tuple[object, ...], list[Parts]] = defaultdict(list)
    for each in predictions:
        shapes[_shape_of(each)].append(each)
    return [
        (_join([inputs for inputs, _ in alike]), _join([outputs for _, outputs in alike])) for alike in shapes.values()
    ]


def _shape_of(parts: Parts) -> tuple[object, ...]:
    tensors = (*parts[0].items(), *parts[1].items())
    return tuple((name, tensor.dtype.kind, tensor.shape[1:]) for name, tensor in tensors if tensor.ndim)


def _join(parts: Sequence[Mapping[str, Tensor]]) -> Tensors:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if parts[0][name].ndim}
