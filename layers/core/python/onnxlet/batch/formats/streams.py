"""Sources as streams, for what reads from the first byte to the last."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from onnxlet.batch.formats.ports import Source

BLOCK_BYTES = 256 * 1024
"""Bytes of a source that are read at once."""

LINE_BYTES = 32 * 2**20
"""The longest line that is read; a file with a longer one is no file of rows."""


BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def open_stream(source: Source) -> io.BufferedReader:
    """A source from its first byte to its last."""
    return io.BufferedReader(_SourceStream(source), BLOCK_BYTES)


def read_lines(source: Source) -> Iterator[bytes]:
    """A source's lines, without a byte order mark. Raises InvalidInputError for endless lines."""
    stream = open_stream(source)
    first = True
    while line := stream.readline(LINE_BYTES + 1):
        check_line(len(line))
        yield line.removeprefix(BYTE_ORDER_MARK) if first else line
        first = False


def check_line(size: int) -> None:
    """Raises InvalidInputError for a line of more bytes than any has."""
    if size > LINE_BYTES:
        raise InvalidInputError(f"a line is longer than {LINE_BYTES // 2**20} MiB: this is no file of rows")


class _SourceStream(io.RawIOBase):
    """Ranges of a source, one after the other."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}
        self._position = offset + bases[whence]
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer)
        data = self._source.read(self._position, len(target))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)
