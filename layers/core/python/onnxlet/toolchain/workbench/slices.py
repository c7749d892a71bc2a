"""Slices: rows that share a value of one column, measured by themselves, so that no group's loss hides in the mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from onnxlet.toolchain.workbench.metrics import Measures
from onnxlet.toolchain.workbench.task import Task
from onnxlet.values.contract import Contract, Slice
from onnxlet.values.tensors import Tensor

FEWEST_ROWS = 5
"""Values with fewer rows are merged into `others`: a report names no smaller group."""
MOST_VALUES = 12
"""At most so many texts get a slice, the most frequent ones; more distinct numbers are cut at their quartiles."""
OTHERS = "others"
MISSING = "(empty)"


@dataclass(frozen=True)
class Slicing:
    """A column cut into slices: the name of each row's slice, and the order in which slices are shown."""

    column: str
    values: tuple[str, ...]
    order: tuple[str, ...]

    def take(self, rows: Tensor) -> Slicing:
        """The slicing of some rows, given by position."""
        return Slicing(self.column, tuple(np.array(self.values, dtype=object)[rows]), self.order)


def make_slicing(column: str, cells: Sequence[str], numbers: Tensor | None) -> Slicing:
    """Cut a column by its frequent values, or by the quartiles of its `numbers` if there are many."""
    if numbers is not None and len(np.unique(numbers[np.isfinite(numbers)])) > MOST_VALUES:
        names, values = _quartiles(numbers)
        return _merge_rare_values(column, values, names)
    values = [cell or MISSING for cell in cells]
    if numbers is not None:
        number_of = {cell: number for cell, number in zip(cells, numbers.tolist(), strict=True) if cell}
        return _merge_rare_values(column, values, sorted(number_of, key=number_of.__getitem__))
    return _merge_rare_values(column, values, sorted(set(cells) - {""}))


def measure_slices(
    slicings: Sequence[Slicing], task: Task, before: Measures | None, after: Measures | None
) -> tuple[Slice, ...]:
    """Measure the task's metric on each slice, before and after; empty without a metric."""
    if before is None or after is None or task.metric is None:
        return ()
    slices = []
    for slicing in slicings:
        values = np.array(slicing.values, dtype=object)
        for value in slicing.order:
            inside = values == value
            if not inside.any():
                continue
            weights = inside[:, None].astype(np.float64)
            pair = [float(measure(weights)[task.metric][0]) for measure in (before, after)]
            if np.isfinite(pair).all():
                slices.append(Slice(slicing.column, value, int(inside.sum()), *pair))
    return tuple(slices)


def find_worst_slice(slices: Sequence[Slice], task: Task) -> str | None:
    """The name of the slice with the worst metric afterwards; None if there are fewer than two."""
    if len(slices) < 2:  # noqa: PLR2004 - one alone is not the worst
        return None
    return str((max if task.less_is_better else min)(slices, key=lambda each: each.after))


def describe_worst_slice(contract: Contract) -> str | None:
    """The worst slice in words: its metric before and after, and the loss; None if the contract names none."""
    worst = next((each for each in contract.slices if str(each) == contract.worst_slice), None)
    if worst is None:
        return None
    figures = f"{worst.after:.4g} on {worst.rows} rows, {worst.before:.4g} before, loss {loss_of(worst, contract):.2g}"
    return f"{worst}: {contract.metric} {figures}"


def loss_of(slice_: Slice, contract: Contract) -> float:
    """By how much the metric got worse on the slice; negative where it got better."""
    lost = slice_.after - slice_.before if contract.task == "regression" else slice_.before - slice_.after
    return lost or 0.0


def _quartiles(numbers: Tensor) -> tuple[list[str], list[str]]:
    """The quarters' names in order, and each row's."""
    finite = np.isfinite(numbers)
    cuts = np.unique(np.quantile(numbers[finite], [0.25, 0.5, 0.75]))
    bins = np.searchsorted(cuts, numbers, side="left")
    names = [f"up to {cuts[0]:.4g}", *(f"{a:.4g} to {b:.4g}" for a, b in pairwise(cuts))]
    names.append(f"over {cuts[-1]:.4g}")
    return names, [names[index] if known else MISSING for index, known in zip(bins, finite, strict=True)]


def _merge_rare_values(column: str, values: Sequence[str], order: Sequence[str]) -> Slicing:
    """The values, those that are rare or too many as `others`."""
    counts = Counter(values)
    frequent = [value for value, count in counts.most_common(MOST_VALUES) if count >= FEWEST_ROWS]
    shown = tuple(value if value in frequent else OTHERS for value in values)
    ordered = [value for value in (*order, OTHERS, MISSING) if value in set(shown)]
    return Slicing(column, shown, tuple(dict.fromkeys(ordered)))
