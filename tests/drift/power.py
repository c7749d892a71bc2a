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
BLOCK = 20
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
"""Three kinds of shift in five sizes each, which the budget is about: none is always found, nor ever missed."""
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
BY_ROWS: list[Cell] = [
    (kind, size * sqrt(WINDOW / rows), rows) for kind, size in SIZES_AT_1000.items() for rows in WINDOWS
]
BY_SIZE: list[Cell] = [(kind, size, WINDOW) for kind, (_, sizes) in {**SHIFTS, **OTHERS}.items() for size in sizes]


def measure(tasks: Tasks) -> list[Row]:
    """The share of replicates in which each test finds each shift."""
    cells = [*BY_ROWS, *BY_SIZE]
    block = min(BLOCK, tasks.scaled(REPLICATES))
    blocks = -(-tasks.scaled(REPLICATES) // block)
    verdicts = np.concatenate(tasks.run(_found, [(block, seed) for seed in range(blocks)], "power"))
    return [
        {"by": "rows" if place < len(BY_ROWS) else "size", "kind": kind, "size": size, "window": rows, **told}
        for place, (kind, size, rows) in enumerate(cells)
        for told in [_told(verdicts[:, place])]
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
    yield "Windows of five sizes, each kind of shift as large as is found in about half of them:"
    yield ""
    yield from _table([row for row in rows if row["by"] == "rows"])
    yield ""
    yield f"Shifts of five sizes in windows of {WINDOW:,} rows; no shift; and the one that counts are worse at:"
    yield ""
    yield from _table([row for row in rows if row["by"] == "size"])
    yield ""
    yield (
        "Mixture: a share of the rows lies about three deviations up. Peak, which the budget is not about: a share "
        "has nearly one value amid all others. Anderson and Darling weigh the ends of a distribution, so they find "
        "such a peak less often than KS does."
    )


def _table(rows: list[Row]) -> Iterator[str]:
    yield "| shift | size | rows | KS, raw | Cramér-von Mises, raw | Anderson-Darling, counts | difference |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        told = row["kind"] if row["kind"] in SHIFTS or row["kind"] == "none" else f"*{row['kind']}*"
        powers = " | ".join(f"{row[test]:.1f}" for test in ("ks", "cvm", "binned"))
        yield f"| {told} | {row['size']:.2g} | {row['window']:,} | {powers} | {_gap(row):+.1f} ± {row['error']:.1f} |"


def _gap(row: Row) -> float:
    return float(row["binned"]) - max(float(row["ks"]), float(row["cvm"]))


def _told(verdicts: Tensor) -> Row:
    """What three tests find of the same replicates [N, 3], the last of which is that of counts."""
    shares = verdicts.mean(axis=0)
    better = int(shares[:2].argmax())
    difference = verdicts[:, 2].astype(float) - verdicts[:, better]
    ks, cvm, binned = (100 * float(share) for share in shares)
    error = 100 * float(difference.std()) / sqrt(len(verdicts))
    return {"count": len(verdicts), "ks": ks, "cvm": cvm, "binned": binned, "error": error}


def _found(task: tuple[int, int]) -> Tensor:
    """Whether KS, Cramér-von Mises and the binned test find each cell's shift: [replicates, cells, 3].

    The cells of a replicate share its baseline.
    """
    block, seed = task
    generator = np.random.default_rng((1, seed))
    cells = [*BY_ROWS, *BY_SIZE]
    verdicts = np.zeros((block, len(cells), 3), dtype=bool)
    for replicate in range(block):
        baseline = np.sort(generator.normal(size=BASELINE))
        edges, _ = draw_edges(baseline)
        counts = count_in_bins(baseline, edges)
        for place, (kind, size, rows) in enumerate(cells):
            window = np.sort(_DRAWS[kind](generator, size, rows))
            verdicts[replicate, place] = (
                ks_distance(baseline, window) >= _critical(BASELINE, rows),
                stats.cramervonmises_2samp(baseline, window, method="asymptotic").pvalue < LEVEL,
                anderson_darling(counts, count_in_bins(window, edges)) < LEVEL,
            )
    return verdicts


def ks_distance(first: Tensor, second: Tensor) -> float:
    """The statistic of `ks_2samp` of sorted values, without its p-value, which takes ten times as long."""
    both = np.concatenate([first, second])
    shares = [np.searchsorted(side, both, side="right") / len(side) for side in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


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
