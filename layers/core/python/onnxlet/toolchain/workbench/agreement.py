"""Agreement row by row: which answers differ by more than the tolerance, and which labels stood so near to a tie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Names
from onnxlet.toolchain.workbench.comparison import distances
from onnxlet.values.manifest import Tolerance
from onnxlet.values.tensors import Tensor, Tensors


@dataclass(frozen=True)
class Agreement:
    """For each row: whether answers differ; whether a label does that hangs on less than the tolerance."""

    differ: Tensor
    tied: Tensor


def compare_rows(expected: Tensors, actual: Tensors, targets: Sequence[Names], tolerance: Tolerance) -> Agreement:
    """Compare answers row by row. Raises InvalidInputError where shapes differ."""
    rows = len(next(iter(expected.values())))
    differ, tied = np.zeros(rows, dtype=bool), np.zeros(rows, dtype=bool)
    margins = {each.label: _margin(expected[each.probabilities]) for each in targets if each.probabilities in expected}
    for name, tensor in expected.items():
        if actual[name].shape != tensor.shape:
            raise InvalidInputError(
                f"the output {name!r} has the shape {list(actual[name].shape)} where {list(tensor.shape)} is expected"
            )
        if tensor.dtype.kind == "f":
            allowed = tolerance.absolute + tolerance.relative * np.abs(np.nan_to_num(tensor.astype(np.float64)))
            changed = distances(tensor, actual[name]) > allowed
            differ |= changed.reshape(rows, -1).any(axis=1)
            continue
        changed = (tensor != actual[name]).reshape(rows, -1).any(axis=1)
        near = margins.get(name, np.full(rows, np.inf)) <= 2 * tolerance.absolute
        tied |= changed & near
        differ |= changed & ~near
    return Agreement(differ, tied & ~differ)


def _margin(scores: Tensor) -> Tensor:
    """How far the most probable class is ahead of the next."""
    ranked = np.sort(scores.astype(np.float64), axis=1)
    return ranked[:, -1] - ranked[:, -2] if ranked.shape[1] > 1 else np.full(len(ranked), np.inf)
