"""Rows of CSV without their first and last cells, which are mostly what a model does not read: ids, notes, targets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Places = np.ndarray[Any, np.dtype[np.intp]]
Octets = np.ndarray[Any, np.dtype[np.uint8]]

COMMA, QUOTE = b',"'


class Edges(NamedTuple):
    """How many cells are cut off at either end."""

    first: int = 0
    last: int = 0

    def cut_all(self, rows: list[bytes]) -> list[bytes | None]:
        """Each row as `cut` leaves it."""
        if not any(self):
            return rows  # type: ignore[return-value] # there is none that is None
        return _cut_alike(rows, self.first, self.last) or [self.cut(row) for row in rows]

    def cut(self, row: bytes) -> bytes | None:
        """A row, whose quotes are where they belong, without these cells; None if unsure, or if it has not so many.

        What is left is what stands between two separators, or a separator and an end; it has no quotes.
        """
        rest: bytes | None = row
        for _ in range(self.first):
            rest = _cut_first(rest) if rest is not None else None
        for _ in range(self.last):
            rest = _cut_last(rest) if rest is not None else None
        return None if rest is None or b'"' in rest else rest


def _cut_alike(rows: list[bytes], first: int, last: int) -> list[bytes | None] | None:
    """Rows without quotes, or whose only ones are around the whole last cell, where that is cut off; None for others.

    All of them at once: where a row begins and ends, and which commas are its own, is found by their places.
    """
    data = b"\n".join(rows)
    octets = np.frombuffer(data, np.uint8)
    row_ends = np.cumsum(np.fromiter(map(len, rows), np.intp, len(rows)) + 1) - 1
    starts = _skip_cells(rows, octets, np.concatenate(([0], row_ends[:-1] + 1)), first)
    if b'"' not in data:
        ends = _leave_cells(octets, row_ends, last)
    else:
        ends = _leave_quotes(octets, row_ends) if last == 1 else None
    if starts is None or ends is None or (starts > ends).any():
        return None
    return [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _skip_cells(rows: list[bytes], octets: Octets, starts: Places, count: int) -> Places | None:
    """Where rows begin behind so many cells; None if the last rows have no more."""
    if not count:
        return starts
    if count == 1:
        # one comma of each row is found sooner than all of them
        found = np.fromiter((row.find(b",") for row in rows), np.intp, len(rows))
        return starts + found + 1 if found.min() >= 0 else None
    commas = np.flatnonzero(octets == COMMA)
    places = np.searchsorted(commas, starts) + count - 1
    return commas[places] + 1 if places.max() < len(commas) else None


def _leave_cells(octets: Octets, ends: Places, count: int) -> Places | None:
    """Where rows end before so many cells; None if the first rows have no more."""
    if not count:
        return ends
    commas = np.flatnonzero(octets == COMMA)
    places = np.searchsorted(commas, ends) - count
    return commas[places] if places.min() >= 0 else None


def _leave_quotes(octets: Octets, ends: Places) -> Places | None:
    """Where rows end before their last cells, around which are their only quotes; None for other rows."""
    quotes = np.flatnonzero(octets == QUOTE)
    if len(quotes) != 2 * len(ends) or (quotes[1::2] != ends - 1).any():
        return None
    commas = quotes[::2] - 1
    return commas if (octets[commas] == COMMA).all() else None


def _cut_first(row: bytes) -> bytes | None:
    if row.startswith(b'"'):
        # of two quotes within the cell the second would follow here
        end = row.find(b'"', 1) + 1
        return row[end + 1 :] if end and row[end : end + 1] == b"," else None
    end = row.find(b",")
    return row[end + 1 :] if end >= 0 else None


def _cut_last(row: bytes) -> bytes | None:
    if row.endswith(b'"'):
        # of two quotes within the cell the first would stand before
        start = row.rfind(b'"', 0, -1)
        return row[: start - 1] if start > 0 and row[start - 1 : start] == b"," else None
    start = row.rfind(b",")
    return row[:start] if start >= 0 else None
