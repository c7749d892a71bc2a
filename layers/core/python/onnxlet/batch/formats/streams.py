"""Sources as streams, for formats that read from the first byte to the last; gzip on the way in and out."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from onnxlet.batch.formats.ports import Source

BLOCK_BYTES = 256 * 1024
"""Bytes of a source that are read at once."""

KEPT_BYTES = 2 * BLOCK_BYTES
"""Bytes of what was decompressed that can be read again."""

LINE_BYTES = 32 * 2**20
"""The longest line that is read; a file with a longer one is no file of rows."""


BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class GunzippedSource:
    """What a gzipped source holds. Reading in order is quick; each step back begins again at the first byte.

    All methods raise InvalidInputError for broken gzip.
    """

    def __init__(self, source: Source) -> None:
        self._stream = gzip.GzipFile(fileobj=open_stream(source), mode="rb")
        self._position = 0
        self._last = b""
        """What stands before the position: ranges begin within what was read for the one before."""

    @cached_property
    def size(self) -> int:
        """Bytes after decompression, found by decompressing all of them."""
        size = 0
        while block := self.read(size, BLOCK_BYTES):
            size += len(block)
        return size

    def read(self, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer where the file ends sooner."""
        try:
            back = self._position - start
            if not 0 <= back <= len(self._last):
                self._stream.seek(start)
                self._position, self._last, back = start, b"", 0
            again = self._last[len(self._last) - back :][:length]
            data = self._stream.read(length - len(again))
            self._position += len(data)
            self._last = (self._last + data)[-KEPT_BYTES:]
            return again + data
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise InvalidInputError(f"the file's gzip compression is broken: {error}") from error


def compress(data: bytes) -> bytes:
    """Bytes as gzip, which may stand one behind the other; without a time, so that equal rows make equal files."""
    return gzip.compress(data, compresslevel=6, mtime=0)


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
