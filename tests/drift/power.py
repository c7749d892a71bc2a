"""Power: how often a shift is found, of counts and of raw values, in the same pairs of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from math import sqrt

import numpy as np
from scipy import stats

from drift.tasks import Row, Tasks
from onnxlet.monitor.bins import count_in_bins, draw_edges
from onnxlet.monitor.statistics import anderson_darling
from onnxlet.values.tensors import Tensor

BASELINE, WINDOW, LEVEL = 10_000, 1_000, 0.05
REPLICATES = 2_000
BLOCK = 50
"""Replicates of one task, at most."""
BELOW = 3.0
"""Points by which the power may lie below that of the better test of raw values."""
_STEP = 0.25
"""Rows of the baseline, to which the critical statistic is sought."""
Draw = Callable[[np.random.Generator, float, int], Tensor]


def _mean(generator: np.random.Generator, size: float, rows: int) -> Tensor:
    return generator.normal(size, 1, rows)


def _deviation(generator: np.random.Generator, size: float, rows: int) -> Tensor:
    return generator.normal(0, 1 + size, rows)


def _mixture(generator: np.random.Generator, size: float, rows: int) -> Tensor:
    """A share of the rows comes from another place, three deviations up."""
    return np.where(generator.random(rows) < size, generator.normal(3, 0.5, rows), generator.normal(size=rows))


def _peak(generator: np.random.Generator, size: float, rows: int) -> Tensor:
    """A share of the rows has nearly one value in the midst of all others."""
    return np.where(generator.random(rows) < size, generator.normal(0.5, 0.1, rows), generator.normal(size=rows))


SHIFTS: dict[str, tuple[Draw, tuple[float, ...]]] = {
    "mean, sd": (_mean, (0.03, 0.05, 0.08, 0.11, 0.15)),
    "spread, sd x 1 +": (_deviation, (0.03, 0.05, 0.08, 0.12, 0.18)),
    "mixture, share": (_mixture, (0.005, 0.01, 0.02, 0.03, 0.05)),
}
"""Three kinds of shift in five sizes each, which the budget is about."""
OTHERS: dict[str, tuple[Draw, tuple[float, ...]]] = {
    "none": (_mean, (0.0,)),
    "peak, share": (_peak, (0.03, 0.05, 0.08)),
}
"""How often it alarms without a shift, and what it is worse at."""
WINDOWS = (100, 300, 1_000, 3_000, 10_000)
SIZES_AT_1000 = {"mean, sd": 0.08, "spread, sd x 1 +": 0.1, "mixture, share": 0.025}
"""Sizes that are found about as often in all windows, as they shrink with the root of their rows."""
_DRAWS = {name: draw for name, (draw, _) in {**SHIFTS, **OTHERS}.items()}
Cell = tuple[str, float, int]
"""Kind, size, rows of the window."""


def measure(tasks: Tasks) -> list[Row]:
    """The share of replicates in which each test finds each shift."""
    cells: list[Cell] = [(kind, size, WINDOW) for kind, (_, sizes) in {**SHIFTS, **OTHERS}.items() for size in sizes]
    cells += [
        (kind, size * sqrt(WINDOW / rows), rows)
        for kind, size in SIZES_AT_1000.items()
        for rows in WINDOWS
        if rows != WINDOW
    ]
    block = min(BLOCK, tasks.scaled(REPLICATES))
    blocks = -(-tasks.scaled(REPLICATES) // block)
    wanted = [(cell, block, seed) for cell in cells for seed in range(blocks)]
    found = np.array(tasks.run(_found, wanted, "power")).reshape(len(cells), blocks, 5).sum(axis=1)
    count = blocks * block
    return [
        {
            "kind": kind,
            "size": size,
            "window": rows,
            "count": count,
            "ks": 100 * float(ks) / count,
            "cvm": 100 * float(cvm) / count,
            "binned": 100 * float(binned) / count,
            "error": 100 * _paired_error(binned - max(ks, cvm), unlike_ks if ks > cvm else unlike_cvm, count),
        }
        for (kind, size, rows), (ks, cvm, binned, unlike_ks, unlike_cvm) in zip(cells, found, strict=True)
    ]


def kept(rows: list[Row]) -> bool:
    """Whether no shift of the three kinds is found less often than allowed."""
    return all(_gap(row) >= -BELOW for row in rows if row["kind"] in SHIFTS)


def page(rows: list[Row]) -> Iterator[str]:
    """Its part of the page."""
    yield "## Power"
    yield ""
    verdict = "kept" if kept(rows) else "NOT kept"
    yield (
        f"How many of {rows[0]['count']:,} windows are found to differ at the level {LEVEL}, in %: by scipy's tests of "
        f"raw values (alibi-detect's statistics; KS at its exact level), and by Anderson-Darling of the counts of the "
        f"same windows. Baseline of {BASELINE:,} normal rows, drawn anew each time. *Difference* is that to the better "
        f"of the two, in points, with the standard error of the pairs; allowed are {-BELOW:g}: **{verdict}**, "
        f"at worst {min(_gap(row) for row in rows if row['kind'] in SHIFTS):+.1f}."
    )
    yield ""
    yield "| shift | size | rows | KS, raw | Cramér-von Mises, raw | Anderson-Darling, counts | difference |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        told = row["kind"] if row["kind"] in SHIFTS or row["kind"] == "none" else f"*{row['kind']}*"
        powers = " | ".join(f"{row[test]:.1f}" for test in ("ks", "cvm", "binned"))
        yield f"| {told} | {row['size']:.2g} | {row['window']:,} | {powers} | {_gap(row):+.1f} ± {row['error']:.1f} |"
    yield ""
    yield (
        "Mixture: a share of the rows lies about three deviations up. Peak, which the budget is not about: a share "
        "has nearly one value amid all others. Anderson and Darling weigh the ends of a distribution, so they find "
        "such a peak less often than KS does."
    )


def _gap(row: Row) -> float:
    return float(row["binned"]) - max(float(row["ks"]), float(row["cvm"]))


def _paired_error(difference: int, discordant: int, count: int) -> float:
    """The standard error of the difference of two shares of the same replicates."""
    return sqrt(max(discordant / count - (difference / count) ** 2, 0.0) / count)


def _found(task: tuple[Cell, int, int]) -> list[int]:
    """How often KS, Cramér-von Mises and the binned test find it, and how often the last is unlike each other."""
    (kind, size, rows), block, seed = task
    generator = np.random.default_rng((list(_DRAWS).index(kind), round(size * 1e6), rows, seed))
    critical = _critical(BASELINE, rows)
    verdicts = np.zeros((block, 3), dtype=bool)
    for place in range(block):
        baseline, window = generator.normal(size=BASELINE), _DRAWS[kind](generator, size, rows)
        edges, _ = draw_edges(baseline)
        verdicts[place] = (
            stats.ks_2samp(baseline, window, method="asymp").statistic >= critical,
            stats.cramervonmises_2samp(baseline, window, method="asymptotic").pvalue < LEVEL,
            anderson_darling(count_in_bins(baseline, edges), count_in_bins(window, edges)) < LEVEL,
        )
    unlike = (verdicts[:, :2] != verdicts[:, 2:]).sum(axis=0)
    return [*verdicts.sum(axis=0).tolist(), *unlike.tolist()]


@lru_cache
def _critical(first: int, second: int) -> float:
    """The smallest statistic of KS that scipy's exact method finds significant: asking it each time takes too long."""
    steady = np.arange(first, dtype=np.float64)
    even = (np.arange(second) + 0.5) * first / second
    low, high = 0.0, first / 2
    while high - low > _STEP:
        middle = (low + high) / 2
        found = stats.ks_2samp(steady, even + middle, method="exact").pvalue < LEVEL
        low, high = (low, middle) if found else (middle, high)
    return float(stats.ks_2samp(steady, even + high, method="asymp").statistic) * (1 - 1e-9)
