"""Compressed files: read from the first byte to the last, and written part by part.

`COMPRESSIONS` is a table by suffixes. What each makes of parts may stand one behind the other.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from onnxlet.batch.formats.streams import BLOCK_BYTES, open_stream
from onnxlet.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Source

KEPT_BYTES = 2 * BLOCK_BYTES
"""Bytes of what was decompressed that can be read again."""
MOST_BYTES = 16 * 2**30
"""So much may a compressed file hold: it is read by one process, from its beginning."""


class Compression(NamedTuple):
    """A way to compress: how its files end, its name, how a stream of it is opened, and bytes made of bytes."""

    suffix: str
    name: str
    open: Callable[[BinaryIO], BinaryIO]
    compress: Callable[[bytes], bytes]


class UnpackedSource:
    """What a compressed source holds. Reading in order is quick; each step far back begins again at the first byte.

    All methods raise InvalidInputError for what is broken, or holds more than it may.
    """

    def __init__(self, source: Source, compression: Compression) -> None:
        self._name = compression.name
        self._stream = compression.open(open_stream(source))
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
        except _faults() as error:
            raise InvalidInputError(f"the file's {self._name} compression is broken: {error}") from error
        self._position += len(data)
        self._last = (self._last + data)[-KEPT_BYTES:]
        if self._position > MOST_BYTES:
            limit = MOST_BYTES / 2**30
            raise InvalidInputError(f"the file holds more than {limit:g} GiB: unpack it, then all cores can score it")
        return again + data


def compress_gzip(data: bytes) -> bytes:
    """Bytes as gzip, without a time, so that equal rows make equal files."""
    return gzip.compress(data, compresslevel=6, mtime=0)


def _open_gzip(stream: BinaryIO) -> BinaryIO:
    return gzip.GzipFile(fileobj=stream, mode="rb")  # type: ignore[return-value] # it reads and seeks


def _zstd() -> Any:  # noqa: ANN401 - a module of one of two names
    """Python's own module, which came with 3.14, or the one that brings it to others. Raises MissingExtraError."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise MissingExtraError("files compressed by zstd need the extra zstd: pip install 'onnxlet[zstd]'", extra="zstd")


def _faults() -> tuple[type[Exception], ...]:
    """What is raised of files that are broken."""
    faults: tuple[type[Exception], ...] = (gzip.BadGzipFile, zlib.error, EOFError)
    try:
        return (*faults, _zstd().ZstdError)
    except MissingExtraError:
        return faults


def _open_zstd(stream: BinaryIO) -> BinaryIO:
    opened: BinaryIO = _zstd().ZstdFile(stream, "rb")
    return opened


def _compress_zstd(data: bytes) -> bytes:
    compressed: bytes = _zstd().compress(data)
    return compressed


COMPRESSIONS = [
    Compression(".gz", "gzip", _open_gzip, compress_gzip),
    Compression(".zst", "zstd", _open_zstd, _compress_zstd),
]
