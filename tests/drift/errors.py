"""Errors of the statistics of counts: against scipy's, of the raw values that were counted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from math import log10

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

from drift.columns import NUMBERS
from drift.tasks import Row, Tasks, spread
from onnxlet.monitor.bins import count_in_bins, draw_edges
from onnxlet.monitor.statistics import (
    anderson_darling,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability,
    wasserstein,
)
from onnxlet.values.tensors import Tensor

BASELINE, WINDOW = 10_000, 1_000
SHIFTS = (0.0, 0.1, 0.3)
"""In standard deviations, as often as each other."""
REPLICATES = 600
STATISTICS = {
    "Kolmogorov-Smirnov": "`ks_2samp`",
    "Jensen-Shannon, equal bins": "`jensenshannon` of `histogram`",
    "PSI, deciles": "the definition, of numpy's own deciles",
    "Wasserstein, clipped, in sd": "`wasserstein_distance` of clipped values",
    "Anderson-Darling, log10 of p": "`anderson_ksamp`, where it tells p: from 0.001 to 0.25",
}


def measure(tasks: Tasks) -> list[Row]:
    """The distances between each statistic and scipy's, by kind of column."""
    wanted = [(kind, seed) for kind in NUMBERS for seed in range(tasks.scaled(REPLICATES))]
    found = tasks.run(_errors, wanted, "errors")
    rows: list[Row] = []
    for kind in NUMBERS:
        own = [errors for (name, _), errors in zip(wanted, found, strict=True) if name == kind]
        for place, statistic in enumerate(STATISTICS):
            values = np.array([errors[place] for errors in own])
            values = values[~np.isnan(values)]
            rows.append({"kind": kind, "statistic": statistic, "count": len(values), **spread(values)})
    return rows


def page(rows: list[Row]) -> Iterator[str]:
    """Its part of the page."""
    yield "## Errors of binned statistics"
    yield ""
    yield (
        f"Baseline of {BASELINE:,} rows, windows of {WINDOW:,} that are shifted by {', '.join(map(str, SHIFTS))} "
        f"standard deviations in turn, {rows[0]['count']} pairs of each kind of column. Median / 95th percentile of "
        "the distance between the statistic of counts and that of raw values."
    )
    yield ""
    kinds = list(dict.fromkeys(str(row["kind"]) for row in rows))
    yield f"| statistic | against | {' | '.join(kinds)} |"
    yield f"|---|---|{'---|' * len(kinds)}"
    for statistic, against in STATISTICS.items():
        own = {row["kind"]: row for row in rows if row["statistic"] == statistic}
        cells = [f"{own[kind]['median']:.2g} / {own[kind]['p95']:.2g}" if own[kind]["count"] else "-" for kind in kinds]
        yield f"| {statistic} | {against} | {' | '.join(cells)} |"
    yield ""
    yield (
        "Of columns with many equal values it is scipy's p that errs, whose table is of continuous ones: of two thirds "
        "of zeros it finds 10 % of equal samples to differ at the level of 5 %, the statistic of counts 5 %."
    )


def _errors(task: tuple[str, int]) -> list[float]:
    kind, seed = task
    generator = np.random.default_rng((list(NUMBERS).index(kind), seed))
    baseline, window = (NUMBERS[kind](generator, rows) for rows in (BASELINE, WINDOW))
    deviation = float(np.clip(baseline, *np.quantile(baseline, [0.001, 0.999])).std())
    shift = SHIFTS[seed % len(SHIFTS)] * deviation
    window = (window + shift).round() if kind == "whole numbers" else window + shift
    edges, deciles = draw_edges(baseline)
    counts = count_in_bins(baseline, edges), count_in_bins(window, edges)
    starts = [0, *(place + 1 for place in deciles)]
    by_decile = [np.add.reduceat(side, starts) for side in counts]
    clipped = [np.clip(values, edges[0], edges[-1]) for values in (baseline, window)]
    bounds = [-np.inf, *np.nextafter(edges, np.inf), np.inf]  # numpy's bins have their lower ends
    shares = [np.histogram(values, bounds)[0] / len(values) for values in (baseline, window)]
    return [
        abs(kolmogorov_smirnov(*counts) - _ks(baseline, window)),
        abs(jensen_shannon(*counts) - float(jensenshannon(*shares, base=2))),
        abs(population_stability(*by_decile) - _stability(baseline, window)),
        abs(wasserstein(*counts, edges) - stats.wasserstein_distance(*clipped)) / deviation,
        _anderson_darling(baseline, window, anderson_darling(*counts)),
    ]


def _ks(baseline: Tensor, window: Tensor) -> float:
    return float(stats.ks_2samp(baseline, window, method="asymp").statistic)


def _stability(baseline: Tensor, window: Tensor) -> float:
    """The index as it is defined, of the deciles of the raw values; cells are joined where deciles are equal."""
    inner = np.unique(np.quantile(baseline, np.arange(1, 10) / 10))
    p, q = (
        np.maximum(np.bincount(np.searchsorted(inner, values, side="left"), minlength=len(inner) + 1), 0.5)
        / len(values)
        for values in (baseline, window)
    )
    held = p > 1 / len(baseline)
    return float(((q - p) * np.log(q / p))[held].sum())


def _anderson_darling(baseline: Tensor, window: Tensor, binned: float) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that p is at an end of the table
        raw = float(stats.anderson_ksamp([baseline, window], variant="midrank").pvalue)
    if not 0.001 < raw < 0.25:
        return float("nan")
    return abs(log10(binned) - log10(raw))
