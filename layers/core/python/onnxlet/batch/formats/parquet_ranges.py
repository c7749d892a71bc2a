"""Where the ranges of a Parquet file begin and end, by its row groups, of which small ones are together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from onnxlet.batch.formats.chunks import CHUNK_ROWS
from onnxlet.batch.formats.parquet_footer import Footer, RowGroup
from onnxlet.batch.formats.ports import Place

RANGE_BYTES = 16 * 2**20
"""Small row groups are together up to so many bytes before compression, and large ones are divided by that."""
COLUMN_BYTES = 16 * 2**10
"""Where there are very many columns it is so many bytes of each, up to MOST_BYTES."""
MOST_BYTES = 8 * RANGE_BYTES
BATCH_BYTES = 2 * 2**20
"""So much is decoded at once."""
WHOLE_BYTES = 4 * RANGE_BYTES
"""Row groups of so many bytes are not divided."""


class Stretch(NamedTuple):
    """Row groups that are read together, from the row `start` on, in ranges of `step` rows each."""

    start: int
    groups: tuple[RowGroup, ...]
    step: int

    @property
    def end(self) -> int:
        """The row behind it."""
        return self.start + sum(group.rows for group in self.groups)


class Ranges:
    """The ranges of a file with so many columns. They are `divisible` if no row group is divided into several.

    `bytes` is what a range has about, of rows that have `row_bytes`, of which `batch_rows` are decoded at once.
    """

    def __init__(self, footer: Footer, columns: int) -> None:
        rows = sum(group.rows for group in footer.groups)
        self.bytes = max(RANGE_BYTES, min(COLUMN_BYTES * columns, MOST_BYTES))
        self.row_bytes = max(1, sum(group.size for group in footer.groups) // max(1, rows))
        self.batch_rows = max(1, min(CHUNK_ROWS, BATCH_BYTES // self.row_bytes))
        self._stretches = list(self._find_stretches(footer))
        self._starts = [stretch.start for stretch in self._stretches]
        self.divisible = all(stretch.start + stretch.step >= stretch.end for stretch in self._stretches)

    def find_stretch(self, row: int) -> Stretch:
        """The stretch in which a row is."""
        return self._stretches[bisect_right(self._starts, row) - 1]

    def end_of(self, start: int) -> int:
        """Where the range ends that begins at a row; there, if the file does."""
        if not self._stretches or start >= self._stretches[-1].end:
            return start
        stretch = self.find_stretch(start)
        return min(start + stretch.step, stretch.end)

    def places(self, least: int) -> list[Place]:
        """Where stretches of at least so many bytes begin, each with row groups of its own, and where the last ends."""
        places, size = [], least
        for stretch in self._stretches:
            if size >= least:
                places.append(Place(stretch.start, stretch.start + 1))
                size = 0
            size += sum(group.packed or group.size for group in stretch.groups)
        end = self._stretches[-1].end if self._stretches else 0
        return [*places, Place(end, end + 1)]

    def _find_stretches(self, footer: Footer) -> Iterator[Stretch]:
        start = size = 0
        together: list[RowGroup] = []
        for group in footer.groups:
            if together and size + group.size > self.bytes:
                yield self._stretch(start, together)
                start, size, together = start + sum(each.rows for each in together), 0, []
            if group.rows:
                together.append(group)
                size += group.size
        if together:
            yield self._stretch(start, together)

    def _stretch(self, start: int, groups: list[RowGroup]) -> Stretch:
        rows, size = sum(group.rows for group in groups), sum(group.size for group in groups)
        step = rows
        if size > max(WHOLE_BYTES, self.bytes):
            step = -(-rows * self.bytes // size // self.batch_rows) * self.batch_rows
        return Stretch(start, tuple(groups), step)
