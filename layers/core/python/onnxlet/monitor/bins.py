"""Bins of numbers: edges that a column's own quantiles give, coarse enough that no edge is about a few people.

A bin holds the values above the edge before it, up to and with its own edge; the last has no end.
"""

from __future__ import annotations

from math import floor, log10

import numpy as np

from onnxlet.values.tensors import Tensor

FEWEST = 10
"""Rows that an edge rests on, and those of every bin of a baseline."""
MANY = 2048
_PARTS = (40, 20, 10, 5, 2)
"""Bins of equal counts: as many as the rows allow. They nest in deciles, or deciles in pairs of them."""
_OUTER = 0.001
_MIDDLE = 0.5
_STEPS_IN_SPREAD = 1000


def count_in_bins(values: Tensor, edges: Tensor) -> Tensor:
    """How many of `values` (none of them NaN) lie in each of the len(edges) + 1 bins."""
    if len(values) >= MANY:  # a search mispredicts nearly each of its branches: comparing all is five times as fast
        below = [int(np.count_nonzero(values <= edge)) for edge in edges.tolist()]
        return np.diff([0, *below, len(values)])
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def draw_edges(values: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Edges for `values` (finite), and the places among them of those that are deciles.

    Forty bins of equal counts, which nest in deciles, and two outer ones at 0.1 and 99.9 %; fewer where values repeat,
    and where a bin would hold fewer than ten rows. Edges are rounded to about a thousandth of the spread, and
    never the smallest or largest value. Where (nearly) all values are equal there is a bin below them, and one above.
    """
    if len(values) < FEWEST:
        return np.array([]), ()
    low, high = float(values.min()), float(values.max())
    if low == high:
        return _around(low)
    shares = _shares(len(values))
    quantiles = np.quantile(values, shares, method="inverted_cdf")
    rounded = _rounded(quantiles, shares, float(np.subtract(*np.quantile(values, [0.975, 0.025]))) or high - low)
    deciles = {float(edge) for edge, share in zip(rounded, shares, strict=True) if round(share * 10, 9).is_integer()}
    edges = _with_enough_rows(values, [float(edge) for edge in np.unique(rounded)], deciles)
    if not edges:
        return _around(float(np.median(values)))
    return np.array(edges), tuple(place for place, edge in enumerate(edges) if edge in deciles)


def _around(value: float) -> tuple[Tensor, tuple[int, ...]]:
    margin = max(abs(value), 1.0) / _STEPS_IN_SPREAD / 2
    return np.array([value - margin, value + margin]), (0, 1)


def _shares(rows: int) -> Tensor:
    parts = next((parts for parts in _PARTS if rows >= FEWEST * parts), 1)
    outer = rows * _OUTER >= FEWEST
    inner = [part / parts for part in range(1, parts)]
    return np.array([_OUTER, *inner, 1 - _OUTER] if outer else inner)


def _rounded(edges: Tensor, shares: Tensor, spread: float) -> Tensor:
    """Halfway between steps of a power of ten, where values that repeat seldom lie, and what is added to them by
    another machine's arithmetic moves none across. Away from the ends, so that the outer bins lose no rows.
    """
    step = 10.0 ** floor(log10(spread / _STEPS_IN_SPREAD))
    below = np.where(shares < _MIDDLE, np.ceil(edges / step - 0.5), np.floor(edges / step - 0.5))
    return np.round((below + 0.5) * step, max(0, 1 - floor(log10(step))))


def _with_enough_rows(values: Tensor, edges: list[float], deciles: set[float]) -> list[float]:
    """The edges that are left when bins of too few rows are joined with a neighbour, deciles last."""
    while edges:
        counts = count_in_bins(values, np.array(edges))
        smallest = int(counts.argmin())
        if counts[smallest] >= FEWEST:
            break
        around = [place for place in (smallest - 1, smallest) if 0 <= place < len(edges)]
        edges.pop(min(around, key=lambda place: (edges[place] in deciles, counts[place] + counts[place + 1])))
    return edges
