"""A window beside the baseline: which columns have drifted, and which of those are worth an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal

import msgspec
import numpy as np

from onnxlet.monitor.baseline import Categories, Column, Numbers
from onnxlet.monitor.sketch import SIDES, Side, Sketch
from onnxlet.monitor.statistics import (
    Counts,
    anderson_darling,
    chi_square,
    holm,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability,
    wasserstein,
)

STABILITY_FLOOR = 0.1
WASSERSTEIN_FLOOR = 0.1
_CONSECUTIVE = 2
_TESTS = {"anderson-darling": anderson_darling, "chi-square": chi_square}
Test = Literal["anderson-darling", "chi-square", "missing"]


class ColumnDrift(msgspec.Struct, frozen=True):
    """How one column of a window differs from the baseline.

    `p` is the test's p-value, `adjusted` that among all columns of the window (Holm). `wasserstein` is in the
    baseline's standard deviations and None for categories; the other distances have no unit. `test` is that of values
    or of the share that is missing, whichever is surer. `missing` is None where reports do not tell so few rows.
    """

    side: Side
    name: str
    test: Test
    rows: int
    missing: int | None
    p: float
    adjusted: float
    psi: float
    ks: float
    js: float
    wasserstein: float | None

    def significant(self, alpha: float) -> bool:
        """Whether the window differs by more than chance gives a window in 1 / `alpha`."""
        return self.adjusted < alpha

    def large(self) -> bool:
        """Whether the difference is more than a trifle, as thousands of rows make any trifle significant."""
        return self.psi >= STABILITY_FLOOR or (self.wasserstein or 0.0) >= WASSERSTEIN_FLOOR


def compare(window: Sketch) -> list[ColumnDrift]:
    """Each column of a window of live rows beside its baseline."""
    drifts = [
        drift
        for side in SIDES
        for column, counts in window.columns(side)
        if (drift := _compared(side, column, counts)) is not None
    ]
    adjusted = holm([drift.p for drift in drifts])
    return [msgspec.structs.replace(drift, adjusted=p) for drift, p in zip(drifts, adjusted, strict=True)]


def significance_level(budget: float, windows: int) -> float:
    """The level of one window for which at most a share `budget` of clean months of `windows` windows raise an alarm.

    An alarm takes two windows in a row, so a month has about windows * level^2 of them by chance.
    """
    return sqrt(budget / max(windows, 1))


def alarming(windows: Sequence[Sequence[ColumnDrift]], alpha: float) -> list[ColumnDrift]:
    """The columns of the newest of consecutive `windows` that are significant in it and the one before, and large."""
    if len(windows) < _CONSECUTIVE:
        return []
    before = {(drift.side, drift.name) for drift in windows[-2] if drift.significant(alpha)}
    return [
        drift
        for drift in windows[-1]
        if (drift.side, drift.name) in before and drift.significant(alpha) and drift.large()
    ]


def _compared(side: Side, column: Column, counts: Counts) -> ColumnDrift | None:
    baseline, live = np.array(column.counts, dtype=np.int64), counts[:-1]
    rows, missing = int(counts.sum()), int(counts[-1])
    if not rows:
        return None
    test: Test = "chi-square" if isinstance(column, Categories) else "anderson-darling"
    p = _TESTS[test](baseline, live)
    psi = _stability(column, baseline, live)
    if missing or column.missing:  # two tests of one column
        held, gone = np.array([baseline.sum(), column.missing]), np.array([live.sum(), missing])
        gaps = chi_square(held, gone)
        test, p = ("missing" if gaps < p else test), min(1.0, 2 * min(p, gaps))
        psi = max(psi, population_stability(held, gone))
    return ColumnDrift(
        side=side,
        name=column.name,
        test=test,
        rows=rows,
        missing=missing,
        p=p,
        adjusted=1.0,
        psi=psi,
        ks=kolmogorov_smirnov(baseline, live),
        js=jensen_shannon(baseline, live),
        wasserstein=None if isinstance(column, Categories) else _in_deviations(column, baseline, live),
    )


def _stability(column: Column, baseline: Counts, live: Counts) -> float:
    """That of deciles for numbers, as the index is defined."""
    if isinstance(column, Categories) or not column.deciles:
        return population_stability(baseline, live)
    starts = [0, *(place + 1 for place in column.deciles)]
    return population_stability(np.add.reduceat(baseline, starts), np.add.reduceat(live, starts))


def _in_deviations(column: Numbers, baseline: Counts, live: Counts) -> float:
    distance = wasserstein(baseline, live, np.array(column.edges))
    return distance / column.spread if column.spread else 0.0
