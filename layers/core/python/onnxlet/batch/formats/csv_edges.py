"""Rows of CSV without their first and last cells, which are mostly what a model does not read: ids, notes, targets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
    ends = np.cumsum(np.fromiter(map(len, rows), np.intp, len(rows)) + 1) - 1
    starts = np.concatenate(([0], ends[:-1] + 1))
    commas = np.flatnonzero(octets == COMMA)
    if b'"' in data:
        quotes = np.flatnonzero(octets == QUOTE)
        if last != 1 or len(quotes) != 2 * len(rows):
            return None
        opening = quotes[::2]
        if (quotes[1::2] != ends - 1).any() or (opening <= starts).any() or (octets[opening - 1] != COMMA).any():
            return None
        ends = opening - 1
    elif last:
        places = np.searchsorted(commas, ends) - last
        if places.min() < 0:
            return None
        ends = commas[places]
    if first:
        places = np.searchsorted(commas, starts) + first - 1
        if places.max() >= len(commas):
            return None
        starts = commas[places] + 1
    if (starts > ends).any():
        return None
    return [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


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
