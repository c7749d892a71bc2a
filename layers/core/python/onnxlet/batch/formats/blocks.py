"""A range of a source in blocks of whole lines, for formats that read many lines at once and some of them alone."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from onnxlet.batch.formats.streams import BYTE_ORDER_MARK, check_line

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Source

BLOCK_BYTES = 256 * 1024
"""Bytes that are read at once: a block stays in the processor's cache while it is parsed."""

RANGE_BYTES = 2**20
"""A range has the rows that begin within so many bytes, counted from the file's first."""


class RowStarts:
    """Where the rows of a block begin in their file: found once somebody asks, which seldom happens.

    The block begins at `position`; `between` matches whatever can stand between two rows.
    """

    def __init__(self, block: bytes, position: int, rows: list[bytes], between: re.Pattern[bytes]) -> None:
        self._block = block
        self._position = position
        self._rows = rows
        self._between = between

    def limit(self, most: float, size: int) -> tuple[list[bytes], int]:
        """The rows, `most` of them at most, and how many bytes they are: all of them have `size`."""
        if len(self._rows) <= most:
            return self._rows, size
        return self._rows[: int(most)], self.all[int(most)] - self._position

    @cached_property
    def all(self) -> list[int]:
        """That of each row, in bytes."""
        starts, place = [], 0
        for row in self._rows:
            gap = self._between.match(self._block, place)
            place = gap.end() if gap else place
            starts.append(self._position + place)
            place += len(row)
        return starts


class LineBlocks:
    """Lines of a source from one that begins at `start`, taken in blocks or one by one.

    Blocks end with the last line that begins in the same range as the first.
    """

    def __init__(self, source: Source, start: int = 0) -> None:
        self._source = source
        self._next = start
        self._limit = (start // RANGE_BYTES + 1) * RANGE_BYTES
        self._data = b""
        self._data_position = start
        """Where `_data` begins in the source."""
        self._start = 0
        self._end = 0
        """`_data[_start:_end]` are whole lines that were not taken yet; what follows is the beginning of one."""

    @property
    def position(self) -> int:
        """Where the next line begins."""
        return self._data_position + self._start

    @property
    def within(self) -> bool:
        """Whether the next line begins in the range."""
        return self.position < self._limit

    def look(self) -> bytes:
        """The next lines of the range, without taking them: at least one, or nothing at its end.

        Only the last line of a source may lack its line feed. Raises InvalidInputError for endless lines.
        """
        if not self.within:
            return b""
        self._fill_up()
        # a line feed just before the limit is the end of the range
        last = self._limit - self._data_position - 1
        end = self._end if last >= self._end else self._data.find(b"\n", last, self._end) + 1 or self._end
        return self._data[self._start : end]

    def take(self, size: int) -> None:
        """Take so many bytes of what `look` gave."""
        self._start += size

    def take_line(self) -> bytes:
        """The next line, of whatever range; nothing at the end of the source.

        Raises InvalidInputError for endless lines.
        """
        self._fill_up()
        end = self._data.find(b"\n", self._start, self._end) + 1 or self._end
        line = self._data[self._start : end]
        self._start = end
        return line

    def _fill_up(self) -> None:
        while self._start == self._end and self._fill():
            pass

    def _fill(self) -> bool:
        """Read on until there is a whole line; False at the end of the source, when the rest is one."""
        parts, size = [self._data[self._end :]], len(self._data) - self._end
        self._data_position += self._end
        while data := self._read():
            parts.append(data)
            newline = data.find(b"\n")
            check_line(size + (newline + 1 or len(data)))
            if newline >= 0:
                break
            size += len(data)
        self._data, self._start = b"".join(parts), 0
        self._end = self._data.rfind(b"\n") + 1 if data else len(self._data)
        return bool(data)

    def _read(self) -> bytes:
        first = self._next == 0
        data = bytes(self._source.read(self._next, max(BLOCK_BYTES, 1 + len(BYTE_ORDER_MARK))))
        self._next += len(data)
        if not first or not data.startswith(BYTE_ORDER_MARK):
            return data
        self._data_position += len(BYTE_ORDER_MARK)
        return data[len(BYTE_ORDER_MARK) :]
