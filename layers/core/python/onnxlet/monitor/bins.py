"""Bins of numbers: edges that a column's own quantiles give, coarse enough that no edge is about a few people.

A bin holds the values above the edge before it, up to and with its own edge; the last has no end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, floor, inf, log10
from typing import Any

import numpy as np

from onnxlet.values.tensors import Tensor

FEWEST = 10
"""Rows that an edge rests on, and those of every bin of a baseline that has any."""
_PARTS = (40, 20, 10, 5, 2)
"""Bins of equal counts: as many as the rows allow. They nest in deciles, or deciles in pairs of them."""
_OUTER = 0.001
_MIDDLE = 0.5
_STEPS_IN_SPREAD = 1000
_COLUMNS = 4096
"""Columns whose bins are kept as arrays."""


def count_in_bins(values: Tensor, edges: Sequence[float] | Tensor) -> Tensor:
    """How many of `values` lie in each of the len(edges) + 1 bins; NaN lies in none."""
    return count_with_missing(values, tuple(edges))[:-1]


def count_with_missing(values: Tensor, edges: tuple[float, ...]) -> Tensor:
    """How many of `values` lie in each of the len(edges) + 1 bins, and last how many are NaN."""
    numbers = values.astype(values.dtype if values.dtype.kind == "f" else np.float64)
    # to search for a value mispredicts nearly each branch; to sort them all does not branch, and NaN comes last
    numbers.sort()
    ends = _ends_of_bins(edges, numbers.dtype)
    counts = np.empty(len(ends) + 1, np.int64)
    counts[:-1] = numbers.searchsorted(ends, "right")
    counts[-1] = len(numbers)
    counts[1:] -= counts[:-1]
    return counts


@lru_cache(_COLUMNS)
def _ends_of_bins(edges: tuple[float, ...], dtype: np.dtype[Any]) -> Tensor:
    """The largest number of a datatype in each bin: what is no larger than it is no larger than the bin's edge."""
    exact = np.array([*edges, inf])
    with np.errstate(over="ignore"):
        ends = exact.astype(dtype)
    return np.where(ends > exact, np.nextafter(ends, -inf), ends)


def draw_edges(values: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Edges for `values` (finite), and the places among them of those that are deciles.

    Forty bins of equal counts, which nest in deciles, and two outer ones at 0.1 and 99.9 %; fewer where values repeat,
    and where a bin would hold fewer than ten rows. Edges are rounded to about a thousandth of the spread, and
    never the smallest or largest value. Beyond an end that ten rows have there is an edge. Where (nearly) all values
    are equal there is a bin below them, and one above.
    """
    if len(values) < FEWEST:
        return np.array([]), ()
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array(_around(low)), (0, 1)
    shares = _shares(len(values))
    quantiles = np.quantile(values, shares, method="inverted_cdf")
    spread = float(np.subtract(*np.quantile(values, [0.975, 0.025]))) or high - low
    rounded = _rounded(quantiles, shares, spread)
    deciles = {float(edge) for edge, share in zip(rounded, shares, strict=True) if round(share * 10, 9).is_integer()}
    edges = _with_enough_rows(values, np.unique(rounded).tolist(), deciles)
    if not edges:
        edges = _around(float(np.median(values)))
        deciles = set(edges)
    edges = _beyond_repeated_ends(values, edges, _step(spread))
    return np.array(edges), tuple(place for place, edge in enumerate(edges) if edge in deciles)


def _around(value: float) -> list[float]:
    margin = max(abs(value), 1.0) / _STEPS_IN_SPREAD / 2
    return [value - margin, value + margin]


def _shares(rows: int) -> Tensor:
    parts = next((parts for parts in _PARTS if rows >= FEWEST * parts), 1)
    outer = rows * _OUTER >= FEWEST
    inner = [part / parts for part in range(1, parts)]
    return np.array([_OUTER, *inner, 1 - _OUTER] if outer else inner)


def _rounded(edges: Tensor, shares: Tensor, spread: float) -> Tensor:
    """Halfway between steps of a power of ten, where values that repeat seldom lie, and what is added to them by
    another machine's arithmetic moves none across. Away from the ends, so that the outer bins lose no rows.
    """
    step = _step(spread)
    below = np.where(shares < _MIDDLE, np.ceil(edges / step - 0.5), np.floor(edges / step - 0.5))
    rounded: Tensor = _halfway(below, step)
    return rounded


def _halfway(steps: Any, step: float) -> Any:  # noqa: ANN401 - one number, or an array of them
    """Between so many steps and the next."""
    return np.round((steps + 0.5) * step, max(0, 1 - floor(log10(step))))


def _step(spread: float) -> float:
    return 10.0 ** floor(log10(spread / _STEPS_IN_SPREAD))


def _beyond_repeated_ends(values: Tensor, edges: list[float], step: float) -> list[float]:
    """The edges, and one beyond each end that ten rows or more have: codes such as 999 lie outside, not at the end.

    Rounded as the others are, and at least half a step away.
    """
    low, high = float(values.min()), float(values.max())
    if edges[0] >= low and np.count_nonzero(values == low) >= FEWEST:
        edges = [_halfway(floor(low / step) - 1, step), *edges]
    if edges[-1] < high and np.count_nonzero(values == high) >= FEWEST:
        edges = [*edges, _halfway(ceil(high / step), step)]
    return edges


def _with_enough_rows(values: Tensor, edges: list[float], deciles: set[float]) -> list[float]:
    """The edges that are left when bins of too few rows are joined with a neighbour, deciles last."""
    counts = count_in_bins(values, edges).tolist()
    while edges and min(counts) < FEWEST:
        smallest = counts.index(min(counts))
        around = [place for place in (smallest - 1, smallest) if 0 <= place < len(edges)]
        least = min(around, key=lambda place: (edges[place] in deciles, counts[place] + counts[place + 1]))
        edges.pop(least)
        counts[least] += counts.pop(least + 1)
    return edges
