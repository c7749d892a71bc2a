"""Where files to score come from: this machine's disk, or a store. Both are sources for the formats."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import structs

from onnxlet.batch.book import SourceFile
from onnxlet.batch.formats.ports import Source
from onnxlet.batch.reading import WINDOW_BYTES, ForwardSource
from onnxlet.errors import InvalidInputError, StoreUnavailableError
from onnxlet.values.digests import ALGORITHM, RunningDigest

if TYPE_CHECKING:
    from onnxlet.store import Store

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes there are."""


class RecordedSource(Source, Protocol):
    """A source that is open, and what its book says of it; whether processes that are forked may read on in it."""

    key: str
    forkable: bool

    @property
    def record(self) -> SourceFile:
        """What its book says; it may have to be read to its end for that."""

    def prepare(self) -> bool:
        """Do some of what `record` needs, in a few milliseconds; False if nothing is left to be done."""

    def close(self) -> None:
        """Let go of the file."""


class LocalSource:
    """A file on this machine. Raises InvalidInputError if it cannot be read."""

    forkable = True

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


class StoredSource:
    """An object of a store, read in windows of which a few are held. Raises what the store raises.

    All of them are of the object that was looked at first: if it is overwritten meanwhile, PreconditionFailedError.
    `upload` tells it from others; its digest is known once all was read.
    """

    forkable = False
    """A store's client has threads."""

    def __init__(self, store: Store, key: str) -> None:
        self.key = key
        head = store.head(key)
        self.size = head.size
        self.upload = SourceFile(key, "", head.size, head.etag, head.version)
        self._store = store
        self._windows = ForwardSource(store, key, self.upload)
        self._digest = _ForwardDigest()

    @property
    def record(self) -> SourceFile:
        """The upload with its digest, which is of what was scored.

        Raises StoreUnavailableError if that is not what a second look at it says, where its ETag says nothing.
        """
        while self._digest.size < self.size:
            self.read(self._digest.size, WINDOW_BYTES)
        if self._digest.differs_from(self.upload.etag) and self._read_again() != self._digest.sha256:
            raise StoreUnavailableError(f"{self.key!r} is read differently each time: deliver it again", key=self.key)
        return structs.replace(self.upload, digest=self._digest.sha256)

    def read(self, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer where the object ends sooner."""
        data = self._windows.read(start, length)
        self._digest.take(start, data)
        return data

    def prepare(self) -> bool:
        """What was read is in the digest."""
        return False

    def close(self) -> None:
        """Let go of the windows, and wait for none."""
        self._windows.close()

    def _read_again(self) -> str:
        digest = _ForwardDigest()
        with closing(ForwardSource(self._store, self.key, self.upload)) as windows:
            while digest.size < self.size:
                digest.take(digest.size, windows.read(digest.size, WINDOW_BYTES))
        return digest.sha256


class _ForwardDigest:
    """Digests of an object's first bytes, as they come; what came before, or leaves a gap, is left out."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)

    @property
    def sha256(self) -> str:
        """The digest as books have it."""
        return ALGORITHM + self._sha256.hexdigest()

    def take(self, start: int, data: bytes) -> None:
        """Bytes from a place on."""
        if start <= self.size < start + len(data):
            rest = memoryview(data)[self.size - start :]
            self._sha256.update(rest)
            self._md5.update(rest)
            self.size += len(rest)

    def differs_from(self, etag: str | None) -> bool:
        """Whether an ETag is none of the digests.

        ETags are MD5 where S3 got an object in one part and encrypts it with its own key, SHA-256 in a directory; the
        others
        say nothing of the bytes, and no book could tell that a read went wrong.
        """
        return etag not in {self._md5.hexdigest(), self._sha256.hexdigest()}


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
