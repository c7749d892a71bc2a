"""Rows of CSV without their first and last cells, which are mostly what a model does not read: ids, notes, targets."""

from __future__ import annotations

from typing import NamedTuple


class Edges(NamedTuple):
    """How many cells are cut off at either end."""

    first: int = 0
    last: int = 0

    def cut_all(self, rows: list[bytes]) -> list[bytes | None]:
        """Each row as `cut` leaves it."""
        if not any(self):
            return rows  # type: ignore[return-value] # there is none that is None
        try:
            if b'"' not in b"".join(rows):
                return _cut_plain(rows, self.first, self.last)
            if self.last == 1:
                # the last cell in quotes and nothing else: the row falls into three parts, of which the third is empty
                parts = [row.split(b'"', 3) for row in rows]
                if all(len(part) == 3 and part[0] and not part[2] for part in parts):  # noqa: PLR2004 - as said
                    return _cut_plain([part[0][:-1] for part in parts], self.first, 0)
        except IndexError:
            pass  # there is one that is too short
        return [self.cut(row) for row in rows]

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


def _cut_plain(rows: list[bytes], first: int, last: int) -> list[bytes | None]:
    """Rows without quotes. Raises IndexError if one is too short."""
    rest = [row.split(b",", first)[first] for row in rows] if first else rows
    return [row.rsplit(b",", last)[-1 - last] for row in rest] if last else list(rest)


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
