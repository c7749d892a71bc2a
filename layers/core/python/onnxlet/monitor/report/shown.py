"""Counts as people may see them: a bin of fewer than five rows is joined with another, for it may be one person's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxlet.monitor.baseline import Categories, Column, Numbers
from onnxlet.values.tensors import Tensor

FEWEST_SHOWN = 5
_DIGITS = 4


class Cells(NamedTuple):
    """Names of cells, and the counts of the baseline and of a window in them; `edges` lie between cells of numbers."""

    names: tuple[str, ...]
    baseline: Tensor
    window: Tensor
    edges: tuple[float, ...] = ()


def show_count(count: int) -> int | None:
    """A count, or None where it is of one to four rows."""
    return None if 0 < count < FEWEST_SHOWN else count


def show_cells(column: Column, window: Tensor | None = None) -> Cells:
    """The bins or categories of a column, those of fewer than five rows joined: with a neighbour, or the others.

    `window` are its counts by bin, missing ones left out; without one the baseline stands beside itself. Where fewer
    than five rows are all there are, none is shown.
    """
    baseline = np.array(column.counts, dtype=np.int64)
    window = baseline if window is None else window
    if int(window.sum()) < FEWEST_SHOWN:
        return Cells((), baseline[:0], window[:0])
    return _bins(column, baseline, window) if isinstance(column, Numbers) else _values(column, baseline, window)


def _bins(column: Numbers, baseline: Tensor, window: Tensor) -> Cells:
    ends, first, second = [*column.edges, np.inf], baseline.tolist(), window.tolist()
    while (small := _smallest(second)) is not None:
        beside = [place for place in (small - 1, small + 1) if 0 <= place < len(second)]
        other = min(beside, key=second.__getitem__)
        low = min(small, other)
        for counts in (first, second):
            counts[low] += counts.pop(low + 1)
        del ends[low]
    names = tuple(f"≤ {end:.{_DIGITS}g}" for end in ends[:-1])
    return Cells(
        (*names, f"> {ends[-2]:.{_DIGITS}g}" if names else "all"), np.array(first), np.array(second), tuple(ends[:-1])
    )


def _values(column: Categories, baseline: Tensor, window: Tensor) -> Cells:
    names, first, second = list(column.values), baseline.tolist(), window.tolist()
    while (small := _smallest(second)) is not None:
        # the others are the last, and take the next smallest where they are too few themselves
        place = small if small < len(names) else min(range(len(names)), key=second.__getitem__)
        for counts in (first, second):
            counts[-1] += counts.pop(place)
        del names[place]
    return Cells((*names, "other"), np.array(first), np.array(second))


def _smallest(counts: list[int]) -> int | None:
    small = [place for place, count in enumerate(counts) if 0 < count < FEWEST_SHOWN]
    return min(small, key=counts.__getitem__, default=None) if len(counts) > 1 else None
