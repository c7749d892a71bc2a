"""A window beside the baseline: which columns have drifted, and which of those are worth an alarm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np

from onnxlet.monitor.baseline import Categories, Column, Numbers, tested_counts
from onnxlet.monitor.levels import BUDGET, significance_level
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

    def large(self) -> bool:
        """Whether the difference is more than a trifle, as thousands of rows make any trifle significant."""
        return self.psi >= STABILITY_FLOOR or (self.wasserstein or 0.0) >= WASSERSTEIN_FLOOR


class Comparison(msgspec.Struct, frozen=True):
    """The columns of one window beside the baseline; those differ by more than chance whose p is below the `level`."""

    level: float
    columns: tuple[ColumnDrift, ...]

    def differing(self) -> list[ColumnDrift]:
        """The columns that differ by more than chance."""
        return [drift for drift in self.columns if drift.adjusted < self.level]


def compare(window: Sketch, *, budget: float = BUDGET) -> Comparison:
    """Each column of a window of live rows beside its baseline; by chance a share `budget` of clean months alarms."""
    known = [(side, column, counts) for side in SIDES for column, counts in window.columns(side) if counts.any()]
    drifts = [_compared(*each) for each in known]
    adjusted = holm([drift.p for drift in drifts])
    rows = {sum(tested_counts(column)) + column.missing for _, column, _ in known}
    levels = [significance_level(len(known), window.rows / (window.rows + each), budget=budget) for each in rows]
    return Comparison(
        min(levels, default=0.0),
        tuple(msgspec.structs.replace(drift, adjusted=p) for drift, p in zip(drifts, adjusted, strict=True)),
    )


def alarming(before: Iterable[ColumnDrift], now: Comparison) -> list[ColumnDrift]:
    """The columns that differ in two windows in a row, those `before` and now, and by more than a trifle now."""
    differed = {(drift.side, drift.name) for drift in before}
    return [drift for drift in now.differing() if (drift.side, drift.name) in differed and drift.large()]


def _compared(side: Side, column: Column, counts: Counts) -> ColumnDrift:
    baseline, live = np.array(column.counts, dtype=np.int64), counts[:-1]
    rows, missing = int(counts.sum()), int(counts[-1])
    test: Test = "chi-square" if isinstance(column, Categories) else "anderson-darling"
    p = _TESTS[test](np.array(tested_counts(column), dtype=np.int64), live)
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
