"""Where files to score come from: this machine's disk, or a store. Both are sources for the formats."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from onnxlet.batch.book import SourceFile
from onnxlet.batch.formats.ports import Source
from onnxlet.errors import InvalidInputError, StoreUnavailableError
from onnxlet.store.directory import etag_of
from onnxlet.values.digests import RunningDigest, digest

if TYPE_CHECKING:
    from onnxlet.store import Blob, Store

AGREEING_READS = 4
"""Reads of an object until two in a row must have agreed."""
Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes there are."""


class RecordedSource(Source, Protocol):
    """A source that is open, and what its book says of it."""

    key: str

    @property
    def record(self) -> SourceFile:
        """What its book says; it may have to be read to its end for that."""

    def prepare(self) -> bool:
        """Do some of what `record` needs, in a few milliseconds; False if nothing is left to be done."""

    def close(self) -> None:
        """Let go of the file."""


class LocalSource:
    """A file on this machine. Raises InvalidInputError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.key = str(path)
        try:
            self._file = path.open("rb")
            self._stamp = self._take_stamp()
            self._file.read(1)  # of a folder it fails
        except OSError as error:
            raise InvalidInputError(f"{self.key!r} cannot be read: {error.strerror}") from error
        self._digest = RunningDigest(self._file.fileno())

    @property
    def size(self) -> int:
        """Bytes that the file has."""
        return self._stamp[0]

    @property
    def record(self) -> SourceFile:
        """Its path, digest and size."""
        return SourceFile(self.key, self._digest.finish(self.size), self.size)

    @property
    def identity(self) -> list[str | int]:
        """What tells this file from others, and from itself once it was written to."""
        status = os.fstat(self._file.fileno())
        return [str(Path(self.key).resolve()), status.st_dev, status.st_ino, *self._stamp]

    def prepare(self) -> bool:
        """Read on for the digest."""
        return self._digest.advance(self.size)

    def read(self, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer where the file ends sooner."""
        # no further than it went when it was opened: somebody may write to it faster than it is scored
        # and from a position of their own: workers share the file's
        return os.pread(self._file.fileno(), max(0, min(length, self.size - start)), start)

    def check_unchanged(self) -> None:
        """Raises InvalidInputError if somebody wrote to the file since it was opened.

        A file that was put in its place does no harm: the opened one is read to its end.
        """
        if self._take_stamp() != self._stamp:
            raise InvalidInputError(f"{self.key!r} was written to while it was scored: score it again")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take_stamp(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._data)

    def read(self, start: int, length: int) -> memoryview:
        """Read `length` bytes from `start`; fewer where they end sooner."""
        return self._data[start : start + length]


class StoredSource(BytesSource):
    """An object of a store. Raises what the store raises.

    It is fetched by one request: ranges of an object that is overwritten meanwhile would be of two files, and no store
    says which of them a range is of.
    """

    def __init__(self, store: Store, key: str) -> None:
        self.key = key
        blob = _get_whole(store, key)
        self.record = SourceFile(key, digest(blob.data), len(blob.data), blob.etag, blob.version)
        super().__init__(blob.data)

    def prepare(self) -> bool:
        """All is known: it was fetched whole."""
        return False

    def close(self) -> None:
        """Free the object's bytes, once nobody reads them any more."""
        self._data = memoryview(b"")


def _get_whole(store: Store, key: str) -> Blob:
    """An object whose bytes are those of its ETag, or that two reads agree on.

    ETags are MD5 where S3 got an object in one part and encrypts it with its own key, SHA-256 in a directory; others
    say nothing of the bytes, and no book could tell that a read went wrong.
    Raises StoreUnavailableError if all reads differ.
    """
    blob = store.get(key)
    for _ in range(AGREEING_READS):
        if blob.etag in {hashlib.md5(blob.data, usedforsecurity=False).hexdigest(), etag_of(blob.data)}:
            return blob
        before, blob = blob, store.get(key)
        if blob == before:
            return blob
    raise StoreUnavailableError(f"{key!r} is read differently each time: deliver it again", key=key)


class MeteredSource:
    """A source that tells how far it was read."""

    def __init__(self, source: Source, on_progress: Progress) -> None:
        self._source = source
        self._on_progress = on_progress

    @property
    def size(self) -> int:
        """Bytes that the source has."""
        return self._source.size

    def read(self, start: int, length: int) -> bytes | memoryview:
        """Read `length` bytes from `start`; fewer where the source ends sooner."""
        data = self._source.read(start, length)
        self._on_progress(start + len(data), self.size)
        return data
