"""Rounding of numbers that others are compared with, so that singles compare with both alike."""

from __future__ import annotations

import numpy as np

from onnxlet.values.tensors import Tensor


def round_down(numbers: Tensor) -> Tensor:
    """The largest single that is no larger than each number: a single is above one if it is above the other."""
    with np.errstate(over="ignore"):
        singles = np.asarray(numbers, dtype=np.float32)
    return np.where(singles.astype(np.float64) > numbers, np.nextafter(singles, np.float32(-np.inf)), singles)


def round_up(numbers: Tensor) -> Tensor:
    """The smallest single that is no smaller than each number: a single reaches one if it reaches the other."""
    return -round_down(-numbers)
