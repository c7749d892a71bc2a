"""A source cut into blocks of whole lines, for formats that read many lines at once and some of them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.batch.formats.streams import BYTE_ORDER_MARK, check_line

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Source

BLOCK_BYTES = 256 * 1024
"""Bytes that are read at once: a block stays in the processor's cache while it is parsed."""


class LineBlocks:
    """The lines of a source, from the first to the last, taken in blocks or one by one."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0
        self._data = b""
        self._start = 0
        self._end = 0
        """`_data[_start:_end]` are whole lines that were not taken yet; what follows is the beginning of one."""

    def look(self) -> bytes:
        """The next lines, without taking them: at least one, or nothing at the end of the source.

        Only the last line of a source may lack its line feed. Raises InvalidInputError for endless lines.
        """
        while self._start == self._end and self._fill():
            pass
        return self._data[self._start : self._end]

    def take(self, size: int) -> None:
        """Take so many bytes of what `look` gave."""
        self._start += size

    def take_line(self) -> bytes:
        """The next line, or nothing at the end of the source. Raises InvalidInputError for endless lines."""
        while self._start == self._end and self._fill():
            pass
        end = self._data.find(b"\n", self._start, self._end) + 1 or self._end
        line = self._data[self._start : end]
        self._start = end
        return line

    def _fill(self) -> bool:
        """Read on until there is a whole line; False at the end of the source, when the rest is one."""
        parts, size = [self._data[self._end :]], len(self._data) - self._end
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
        first = self._position == 0
        data = bytes(self._source.read(self._position, max(BLOCK_BYTES, 1 + len(BYTE_ORDER_MARK))))
        self._position += len(data)
        return data.removeprefix(BYTE_ORDER_MARK) if first else data
