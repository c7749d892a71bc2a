"""Tests and distances of two rows of counts: how a window of live rows differs from the baseline.

Tests decide, distances describe. All take counts by bin (or category), of the baseline first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from onnxlet.monitor.distributions import chi_square_tail, weighted_chi_squares_tail
from onnxlet.values.tensors import Tensor

Counts = Tensor
"""Integers by bin."""
_FEWEST_EXPECTED = 5.0
_FEWEST_CELLS = 2
_NOTHING = 1e-12


def anderson_darling(baseline: Counts, window: Counts) -> float:
    """The p-value of the two-sample Anderson-Darling test of binned numbers.

    The statistic is Scholz and Stephens' for tied data (JASA 82, 1987, formula 6). Under the null hypothesis it is a
    sum of weighted chi-squares, whose weights follow from the bins.
    """
    pooled = baseline + window
    held = pooled > 0
    first, second, pooled = baseline[held], window[held], pooled[held]
    n, m = int(first.sum()), int(second.sum())
    if not n or not m or len(pooled) < _FEWEST_CELLS:
        return 1.0
    shares = pooled[:-1] / (n + m)
    below = np.cumsum(shares)
    difference = np.cumsum(first)[:-1] / n - np.cumsum(second)[:-1] / m
    weights = shares / (below * (1 - below))
    statistic = n * m / (n + m) * float((weights * difference**2).sum())
    covariance = np.minimum.outer(below, below) - np.outer(below, below)
    root = np.sqrt(weights)
    spectrum = np.linalg.eigvalsh(root[:, None] * covariance * root)
    return weighted_chi_squares_tail(statistic, spectrum[spectrum > _NOTHING])


def chi_square(baseline: Counts, window: Counts) -> float:
    """The p-value of the chi-square test that both have the same shares.

    Cells that expect fewer than five rows are pooled.
    """
    n, m = int(baseline.sum()), int(window.sum())
    if not n or not m:
        return 1.0
    table = np.array([baseline, window], dtype=float)
    expected = table.sum(axis=0) * (min(n, m) / (n + m))
    rare = expected < _FEWEST_EXPECTED
    cells = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)]) if rare.any() else table
    totals = cells.sum(axis=0)
    cells, totals = cells[:, totals > 0], totals[totals > 0]
    if len(totals) < _FEWEST_CELLS:
        return 1.0
    wanted = np.outer([n, m], totals / (n + m))
    return chi_square_tail(float(((cells - wanted) ** 2 / wanted).sum()), len(totals) - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number by Holm's method: those below alpha hold together at alpha."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def population_stability(baseline: Counts, window: Counts) -> float:
    """The population stability index. A cell that one side lacks counts there as half a row."""
    if _one_is_empty(baseline, window):
        return 0.0
    first, second = _shares(baseline), _shares(window)
    held = baseline + window > 0
    first = np.maximum(first, 0.5 / int(baseline.sum()))[held]
    second = np.maximum(second, 0.5 / int(window.sum()))[held]
    return float(((second - first) * np.log(second / first)).sum())


def kolmogorov_smirnov(baseline: Counts, window: Counts) -> float:
    """The largest distance of the two distribution functions at an edge, from 0 to 1."""
    if _one_is_empty(baseline, window):
        return 0.0
    return float(np.abs(np.cumsum(_shares(baseline)) - np.cumsum(_shares(window))).max(initial=0.0))


def jensen_shannon(baseline: Counts, window: Counts) -> float:
    """The Jensen-Shannon distance to base 2, from 0 to 1."""
    if _one_is_empty(baseline, window):
        return 0.0
    first, second = _shares(baseline), _shares(window)
    middle = (first + second) / 2
    divergence = sum(
        float((side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum()) / 2 for side in (first, second)
    )
    return sqrt(max(divergence, 0.0))


def wasserstein(baseline: Counts, window: Counts, edges: Tensor) -> float:
    """The Wasserstein distance between the outermost edges, in the column's own unit; what lies beyond is cut off."""
    if len(edges) < _FEWEST_CELLS or _one_is_empty(baseline, window):
        return 0.0
    distance = np.abs(np.cumsum(_shares(baseline)) - np.cumsum(_shares(window)))[:-1]
    return float((np.diff(edges) * (distance[1:] + distance[:-1]) / 2).sum())


def _shares(counts: Counts) -> Tensor:
    shares: Tensor = counts / counts.sum()
    return shares


def _one_is_empty(baseline: Counts, window: Counts) -> bool:
    """Whether there is nothing to compare; a distance is 0 then."""
    return not baseline.any() or not window.any()
