"""Accuracy by labels: how often a version was right, how well its probabilities are calibrated, with intervals.

Wilson's interval: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. Expected
calibration error: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning",
2015, of the probability of the label that was told.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import msgspec
import numpy as np

from onnxlet.monitor.intervals import Interval, Z
from onnxlet.values.tensors import Tensor

BINS = 10
RESAMPLES = 200
MOST_RESAMPLED = 20_000
"""Rows that an interval is drawn from; of more, these are drawn first."""
SEED = 0


class Reliability(msgspec.Struct, frozen=True):
    """Rows whose probability lies from `low` to `high`: how many, their mean probability, the share of right."""

    low: float
    high: float
    rows: int
    probability: float
    right: float


def wilson(right: int, rows: int, z: float = Z) -> Interval:
    """The share of rows that were right. `rows` is 1 or more."""
    share, square = right / rows, z * z
    center = (share + square / (2 * rows)) / (1 + square / rows)
    half = z / (1 + square / rows) * sqrt(share * (1 - share) / rows + square / (4 * rows * rows))
    return Interval(share, max(0.0, center - half), min(1.0, center + half))


def brier(probabilities: Tensor, right: Tensor) -> float:
    """Mean squared distance of the probability of the told label from whether it was right."""
    return float(np.mean((probabilities - right) ** 2))


def calibration_error(probabilities: Tensor, right: Tensor) -> float:
    """Expected calibration error over ten bins of equal width."""
    bins = _bins(probabilities)
    sums = np.bincount(bins, weights=probabilities - right, minlength=BINS)
    return float(np.abs(sums).sum() / len(probabilities))


def reliability(probabilities: Tensor, right: Tensor, fewest: int) -> tuple[Reliability, ...]:
    """Bins of equal width, those of fewer rows than `fewest` joined with the next."""
    bins, told = _bins(probabilities), []
    first = 0
    for last in range(BINS):
        chosen = (bins >= first) & (bins <= last)
        rows = int(chosen.sum())
        left = int((bins > last).sum())
        if rows and rows >= fewest and (left == 0 or left >= fewest):
            share, mean = float(right[chosen].mean()), float(probabilities[chosen].mean())
            told.append(Reliability(first / BINS, (last + 1) / BINS, rows, mean, share))
            first = last + 1
        elif not rows:
            first = last + 1
    return tuple(told)


def bootstrap(measure: Callable[[Tensor, Tensor], float], one: Tensor, other: Tensor) -> Interval:
    """A figure of pairs of numbers, with the percentile interval of resampled rows; the same rows give the same."""
    random = np.random.default_rng(SEED)
    value = measure(one, other)
    if len(one) > MOST_RESAMPLED:
        drawn = random.choice(len(one), MOST_RESAMPLED, replace=False)
        one, other = one[drawn], other[drawn]
    resampled = []
    for _ in range(RESAMPLES):
        drawn = random.integers(0, len(one), len(one))
        resampled.append(measure(one[drawn], other[drawn]))
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(value, float(min(low, value)), float(max(high, value)))


def mean_absolute_error(told: Tensor, true: Tensor) -> float:
    """Of numbers."""
    return float(np.mean(np.abs(told - true)))


def root_mean_square_error(told: Tensor, true: Tensor) -> float:
    """Of numbers."""
    return float(sqrt(np.mean((told - true) ** 2)))


def _bins(probabilities: Tensor) -> Tensor:
    return np.clip((probabilities * BINS).astype(np.intp), 0, BINS - 1)
