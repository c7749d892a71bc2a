"""How sure one window must be, so that of months without drift no more alarm than may."""

from __future__ import annotations

from functools import lru_cache
from math import erfc, sqrt

import numpy as np

from onnxlet.values.tensors import Tensor

BUDGET = 0.05
"""The share of months without drift in which a model alarms by chance: some column of some version, in either kind."""
KINDS = 2
"""Of alarms that the budget is for: drift and data quality."""
MONTH = 30
"""Windows of a month."""
LARGEST = 0.05
"""The level of a window, at most: more columns differ by chance than people care to read about."""
_SHARED = np.linspace(-6, 6, 241)
_WEIGHTS = np.exp(-(_SHARED**2) / 2) / np.exp(-(_SHARED**2) / 2).sum()
_MOST_SHARED = 0.999
_STEPS = 50
_FARTHEST = 10.0


def share_of_budget(versions: int) -> float:
    """The part of a model's budget that one kind of alarm has of one of the `versions` that are watched."""
    return BUDGET / KINDS / max(versions, 1)


def significance_level(columns: int, shared: float, *, budget: float = BUDGET, windows: int = MONTH) -> float:
    """The level of one window, of all its columns together, at which at most a share `budget` of clean months alarm.

    A month of `windows` windows alarms when one of the `columns` is significant in two in a row. `shared` is the part
    of a difference's variance that is the baseline's own error, rows of the window / rows of both: all windows have it,
    so they are significant together. For one degree of freedom this is computed, given that error; tests of more
    degrees share less.
    """
    return _level(max(columns, 1), round(min(shared, _MOST_SHARED), 3), budget, windows)


@lru_cache(maxsize=1024)
def _level(columns: int, shared: float, budget: float, windows: int) -> float:
    low, high = 0.0, _FARTHEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if columns * _share_of_months(middle, windows, shared) > budget:
            low = middle
        else:
            high = middle
    return min(LARGEST, columns * erfc(high / sqrt(2)))


def _share_of_months(threshold: float, windows: int, shared: float) -> float:
    """How many months have two windows in a row in which a standard normal difference is beyond the threshold."""
    scale = sqrt(2 * (1 - shared))
    beyond = np.array([_beyond(threshold, sqrt(shared) * error, scale) for error in _SHARED.tolist()])
    return float((_WEIGHTS * _runs_of_two(beyond, windows)).sum())


def _beyond(threshold: float, middle: float, scale: float) -> float:
    return (erfc((threshold - middle) / scale) + erfc((threshold + middle) / scale)) / 2


def _runs_of_two(chance: Tensor, trials: int) -> Tensor:
    """How likely some two trials in a row succeed, of independent ones with this chance."""
    failed, succeeded = np.ones_like(chance), np.zeros_like(chance)
    for _ in range(trials):
        failed, succeeded = (failed + succeeded) * (1 - chance), failed * chance
    return 1 - failed - succeeded
