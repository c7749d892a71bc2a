"""The store port: bytes by key, with conditional writes. `s3://bucket/prefix`, `file:///directory` and `memory://name`.

Keys are `/`-separated paths without empty, `.` or `..` segments (`rules` says all of it). ETags are opaque strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from onnxlet.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path


class Blob(msgspec.Struct, frozen=True):
    """An object's bytes, the ETag they have, and the id of the object's version where the store keeps versions."""

    data: bytes
    etag: str
    version: str | None = None


class Head(msgspec.Struct, frozen=True):
    """What is known of an object without its bytes: how many there are, their ETag, and its version as above."""

    size: int
    etag: str
    version: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """One listed object: key relative to the store, size in bytes, seconds since the epoch of its last change."""

    key: str
    size: int
    modified: float


class Store(Protocol):
    """Bytes by key. Every method raises StoreUnavailableError if the store does not answer or refuses us.

    Keys that no store takes raise InvalidNameError, whatever the method.
    """

    url: str

    def get(self, key: str) -> Blob:
        """Read a whole object. Raises ObjectNotFoundError."""

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        """Read an object unless it still has `etag` (then None). Raises ObjectNotFoundError."""

    def head(self, key: str) -> Head:
        """Size, ETag and version of an object. Raises ObjectNotFoundError."""

    def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | memoryview:
        """Read `length` bytes from `start`; fewer where the object ends sooner. Raises ObjectNotFoundError.

        With `etag` they are those of the object that has it: PreconditionFailedError if it was overwritten since. A
        store may lend the buffer that the bytes arrived in, so that large artifacts are not copied.
        """

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object (bytes, or a file's), whatever is there; return its ETag."""

    def create(self, key: str, data: bytes | Path) -> str:
        """Write an object that must not exist yet. Raises PreconditionFailedError if it does."""

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        """Overwrite an object that must still have `etag`. Raises PreconditionFailedError if it has not, or is gone."""

    def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove an object; it is no error if there is none, unless `etag` is given. Raises PreconditionFailedError."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, in the order of their keys."""


def open_store(url: str) -> Store:
    """The store at `url`; the adapter is imported only when it is used. Raises InvalidInputError for another scheme."""
    if not url:
        raise InvalidInputError("no store is named: set ONNXLET_STORE to s3://bucket/prefix or file:///directory")
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "s3":
        from onnxlet.store.s3 import S3Store

        return S3Store(url)
    if separator and scheme == "file":
        from onnxlet.store.directory import DirectoryStore

        return DirectoryStore(url)
    if separator and scheme == "memory":
        from onnxlet.store.memory import MemoryStore

        return MemoryStore(url)
    raise InvalidInputError(
        f"{url!r} is no store: use s3://bucket/prefix, file:///directory or memory://name", store=url
    )
