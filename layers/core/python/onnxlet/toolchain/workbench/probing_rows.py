"""Probing rows: rows made of what a model itself knows, to compare its graph with it where the two could part.

Each is an ordinary row with one column changed: to a value on either side of a threshold, a category, words, nothing
at all, an infinity, or a number of another size; or with several columns left without a value. A row for a threshold
is moved so that it gets to the threshold. Numbers are made in the datatype that is served, so thresholds are
approached by the smallest step of it; and as people write them, where rounding to that datatype takes a short decimal
to the other side of a threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxlet.values.tensors import Tensor, Tensors

MOST_THRESHOLDS = 1000
AT_THRESHOLDS, MOST_BASES = 4000, 16
"""Rows at thresholds, more or less: fewer thresholds are tried on more rows, up to so many each."""
MOST_OTHERS = 2000
"""Rows for categories and words, rows without a value, and rows of other sizes: at most so many of each."""
WITHOUT = 4
"""Rows for each column that is missing, or infinite."""
MANY_MISSING = 64
"""Rows in which several columns are missing."""
WORDS = 4
"""Words in a row; more where the model knows very many."""
SIZES = (0.0, -1.0, 1e-6, 10.0, 1e15)
"""Numbers are tried that are so many times as large as a column's largest."""
DIGITS = 10
"""So many are those of a short decimal: enough for seconds since 1970."""
FAR = 10.0
"""What is farther than so many times the column's range from it lies beyond what the model was fitted for."""
DECIMAL = "decimal at a threshold"
"""The kind of rows that the model is asked before they are rounded to what is served."""
UNKNOWN = "a category that nobody knows"
ANY_WORDS = ("pain", "Überweisung", "naïve", "ЁЛКА", "東京", "ไทย", "x1", "12.5", "İstanbul", "e\u0301te\u0301", "😀")
"""Words of several scripts, in large and small letters, with accents of their own and composed ones."""
ODD_TEXTS = (UNKNOWN, "", " \n\u3000", " ".join(ANY_WORDS), "pain" * 1000)
"""Texts that are tried where words are known."""

Interval = tuple[float, float]
MISSING: Interval = (float("nan"), float("nan"))
"""Where a column has no value."""


@dataclass(frozen=True)
class Threshold:
    """A number that a model compares a column with; `within` says where other columns must be for it to get there."""

    column: str
    value: float
    within: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Knowledge:
    """What a model knows of its columns."""

    thresholds: Sequence[Threshold] = ()
    categories: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ties: bool = False
    """Whether it chooses by chance among rows that are equally near, as those are which lack most columns."""


@dataclass(frozen=True)
class ProbingRows:
    """Rows of one kind, in the datatypes that are served, and what was changed in each."""

    kind: str
    columns: Tensors
    changed: Tensor
    """The name of the column that was changed, row by row."""
    far: Tensor
    """Whether it was changed to a number far outside of the column's range."""
    written: Tensors
    """What the model is asked: the same, or decimals that rounding made these of."""

    def take(self, rows: Tensor) -> ProbingRows:
        """The rows at these positions."""
        columns, written = (
            {name: column[rows] for name, column in all_.items()} for all_ in (self.columns, self.written)
        )
        return ProbingRows(self.kind, columns, self.changed[rows], self.far[rows], written)

    def by_column(self) -> Iterator[ProbingRows]:
        """The rows that one column was changed in, column by column."""
        for name in dict.fromkeys(self.changed.tolist()):
            yield self.take(np.flatnonzero(self.changed == name))


class RowMaker:
    """Makes probing rows of `columns`, rows of served datatypes; values may be missing in those named `missing`, and
    numbers infinite in those named `infinite`.
    """

    def __init__(
        self,
        columns: Tensors,
        knowledge: Knowledge,
        missing: frozenset[str],
        infinite: frozenset[str] = frozenset(),
        *,
        seed: int,
    ) -> None:
        self._knowledge, self._missing, self._infinite = knowledge, missing, infinite
        self._random = np.random.default_rng(seed)
        self._columns = {name: self._known_values(name, column) for name, column in columns.items()}
        self._count = len(next(iter(columns.values())))
        self._ranges = {name: self._range(name) for name, column in columns.items() if column.dtype.kind == "f"}

    def make(self) -> Iterator[ProbingRows]:
        """The rows, kind by kind."""
        changes = {
            "number at a threshold": self._at_thresholds(),
            DECIMAL: self._rounded_across(),
            "known category": self._known_categories(),
            "unknown category": self._unknown_categories(),
            "missing value": self._missing_values(),
            "row with several missing values": self._several_missing(),
            "infinity": self._infinities(),
            "number of another size": self._other_sizes(),
        }
        for kind, each in changes.items():
            rows = self._change(kind, list(each))
            if rows is not None:
                yield rows

    def _known_values(self, name: str, column: Tensor) -> Tensor:
        """The column, or values that the model knows where it knows some: it may refuse others."""
        words = np.array(self._knowledge.words.get(name, ()), dtype=object)
        if len(words) and column.dtype.kind == "O":
            return np.array([" ".join(self._random.choice(words, WORDS)) for _ in column], dtype=object)
        known = np.array(list(self._knowledge.categories.get(name, ())), dtype=object)
        if not len(known) or column.dtype.kind == "b":
            return column
        return self._random.choice(known, len(column)).astype(column.dtype)

    def _range(self, name: str) -> Interval:
        """The range that the model was fitted for, as far as it is known: that of the rows and of the thresholds."""
        known = [each.value for each in self._knowledge.thresholds if each.column == name]
        numbers = np.concatenate([self._columns[name].astype(np.float64), known])
        finite = numbers[np.isfinite(numbers)]
        return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)

    def _at_thresholds(self) -> Iterator[tuple[str, Any, Mapping[str, Interval]]]:
        """The number itself, the ones beside it, and none, where a threshold is reached."""
        tried = self._sample([t for t in self._knowledge.thresholds if t.column in self._ranges], MOST_THRESHOLDS)
        bases = min(max(AT_THRESHOLDS // (3 * len(tried) or 1), 1), MOST_BASES)
        for each in [threshold for threshold in tried for _ in range(bases)]:
            dtype = self._columns[each.column].dtype.type
            at = dtype(each.value)
            if not np.isfinite(at):
                continue
            for value in (np.nextafter(at, dtype(-np.inf)), at, np.nextafter(at, dtype(np.inf))):
                yield each.column, value, each.within
            if each.column in self._missing:
                yield each.column, np.nan, each.within

    def _rounded_across(self) -> Iterator[tuple[str, Any, Mapping[str, Interval]]]:
        """Short decimals beside thresholds that the served datatype rounds to another side of them."""
        tried = self._sample([t for t in self._knowledge.thresholds if t.column in self._ranges], MOST_THRESHOLDS)
        for each in tried:
            dtype = self._columns[each.column].dtype.type
            decimals = (float(f"{each.value:.{digits}g}") for digits in range(1, DIGITS + 1))
            crossing = next((value for value in decimals if _crosses(value, float(dtype(value)), each.value)), None)
            if crossing is not None:
                yield each.column, crossing, each.within

    def _known_categories(self) -> Iterator[tuple[str, Any, Mapping[str, Interval]]]:
        knowledge = self._knowledge
        pairs = [(name, value) for name, values in knowledge.categories.items() for value in values]
        for name, value in self._sample([pair for pair in pairs if pair[0] in self._columns], MOST_OTHERS):
            yield name, value, {}
        for name, words in knowledge.words.items():
            # all of them, be it in longer rows
            count = max(WORDS, -(-len(words) // MOST_OTHERS))
            for start in range(0, len(words), count):
                yield name, " ".join(words[start : start + count]), {}

    def _unknown_categories(self) -> Iterator[tuple[str, Any, Mapping[str, Interval]]]:
        for name, values in self._knowledge.categories.items():
            if name not in self._columns or self._columns[name].dtype.kind == "b":
                continue
            if self._columns[name].dtype.kind == "O":
                yield name, UNKNOWN, {}
            else:
                numbers = [value for value in values if isinstance(value, int | float) and np.isfinite(value)]
                yield name, max(numbers, default=0) + 1, {}
        for name in self._knowledge.words:
            for text in ODD_TEXTS:
                yield name, text, {}

    def _missing_values(self) -> Iterator[tuple[str, Any, Mapping[str, Interval]]]:
        for name in self._spread(sorted(self._missing)):
            yield name, _missing_of(self._columns[name]), {}

    def _several_missing(self) -> Iterator[tuple[str, Any, Mapping[str, Interval]]]:
        """Rows without some numbers, and the first one without any that may be missing."""
        names = sorted(self._missing & self._ranges.keys())
        if self._knowledge.ties or len(names) < 2:  # noqa: PLR2004 - one alone is missing in other rows
            return
        yield names[0], np.nan, dict.fromkeys(names, MISSING)
        for _ in range(MANY_MISSING):
            count = int(self._random.integers(2, len(names) + 1))
            some = self._random.choice(names, count, replace=False).tolist()
            yield some[0], np.nan, dict.fromkeys(some, MISSING)

    def _infinities(self) -> Iterator[tuple[str, Any, Mapping[str, Interval]]]:
        for name in self._spread(sorted(self._infinite & self._ranges.keys())):
            yield name, np.inf, {}
            yield name, -np.inf, {}

    def _spread(self, names: Sequence[str]) -> list[str]:
        """Each of the names as often as there is room for, at least once."""
        return list(names) * max(min(MOST_OTHERS // (len(names) or 1), WITHOUT), 1)

    def _other_sizes(self) -> Iterator[tuple[str, Any, Mapping[str, Interval]]]:
        changes: list[tuple[str, Any, Mapping[str, Interval]]] = []
        for name, (low, high) in self._ranges.items():
            if name not in self._knowledge.categories:
                scale = max(abs(low), abs(high)) or 1.0
                changes += [(name, size * scale, {}) for size in SIZES]
        return iter(self._sample(changes, MOST_OTHERS))

    def _sample(self, things: Sequence[Any], most: int) -> Sequence[Any]:
        if len(things) <= most:
            return things
        return [things[index] for index in np.sort(self._random.choice(len(things), most, replace=False)).tolist()]

    def _change(self, kind: str, changes: Sequence[tuple[str, Any, Mapping[str, Interval]]]) -> ProbingRows | None:
        """Ordinary rows with each of these changes."""
        if not changes:
            return None
        base = self._random.integers(0, self._count, len(changes))
        columns = {name: column[base] for name, column in self._columns.items()}
        far = np.zeros(len(changes), dtype=bool)
        for row, (name, value, within) in enumerate(changes):
            for other, interval in within.items():
                possible = other in self._missing if np.isnan(interval[0]) else other in self._ranges
                if possible and other != name:
                    columns[other][row] = _move_into(columns[other][row], interval, self._ranges[other])
            columns[name][row] = value
            far[row] = name in self._ranges and self._is_far(name, columns[name][row])
        changed = np.array([change[0] for change in changes], dtype=object)
        written = columns
        if kind == DECIMAL:
            decimals = np.array([change[1] for change in changes])
            written = {name: _unrounded(column, decimals, changed == name) for name, column in columns.items()}
        return ProbingRows(kind, columns, changed, far, written)

    def _is_far(self, name: str, value: Any) -> bool:
        low, high = self._ranges[name]
        reach = FAR * max(high - low, abs(low), abs(high))
        return bool(np.isfinite(value) and not low - reach <= value <= high + reach)


def _crosses(value: float, rounded: float, threshold: float) -> bool:
    """Whether rounding takes a value to another side of the threshold, whichever side the threshold itself is on."""
    return (value <= threshold) != (rounded <= threshold) or (value < threshold) != (rounded < threshold)


def _unrounded(column: Tensor, decimals: Tensor, changed: Tensor) -> Tensor:
    """The column with the decimals that it was changed to, before rounding."""
    return np.where(changed, decimals, column.astype(np.float64)) if changed.any() else column


def _missing_of(column: Tensor) -> Any:
    return "" if column.dtype.kind == "O" else np.nan


def _move_into(value: Any, interval: Interval, known: Interval) -> float:
    """The value, or one well inside of the open interval, which may be infinite."""
    low, high = interval
    if np.isnan(low):
        return low
    if low < value < high:
        return float(value)
    low, high = max(low, min(known[0], high) - 1), min(high, max(known[1], low) + 1)
    return low + (high - low) / 2
