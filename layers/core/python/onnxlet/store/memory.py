"""A store in the memory of one process: `memory://name`. The same name is the same store, until the process ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from onnxlet.errors import InvalidInputError
from onnxlet.store import Blob, Entry, Head
from onnxlet.store.rules import (
    already_exists_error,
    changed_error,
    check_key,
    check_prefix,
    check_range,
    not_found_error,
    overwritten_error,
    unreadable_error,
)


class _Object(NamedTuple):
    data: bytes
    etag: str
    modified: float


class _Space:
    """What all stores of one name share."""

    def __init__(self) -> None:
        self.objects: dict[str, _Object] = {}
        self.lock = threading.Lock()
        self.writes = count(1)


_SPACES: dict[str, _Space] = {}


class MemoryStore:
    """Objects in a dictionary under a lock. Raises InvalidInputError for a URL without a name."""

    def __init__(self, url: str) -> None:
        name = url.removeprefix("memory://")
        if not name or name == url:
            raise InvalidInputError(f"{url!r} is no memory store: use memory://name", store=url)
        self.url = url
        self._space = _SPACES.setdefault(name, _Space())

    def get(self, key: str) -> Blob:
        """Read a whole object. Raises ObjectNotFoundError."""
        stored = self._read(key)
        return Blob(stored.data, stored.etag)

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        """Read an object unless it still has `etag` (then None). Raises ObjectNotFoundError."""
        stored = self._read(key)
        return None if stored.etag == etag else Blob(stored.data, stored.etag)

    def head(self, key: str) -> Head:
        """Size, ETag and version of an object. Raises ObjectNotFoundError."""
        stored = self._read(key)
        return Head(len(stored.data), stored.etag)

    def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> memoryview:
        """Read `length` bytes from `start`, of the object with `etag` if that is given; fewer where it ends sooner.

        Raises ObjectNotFoundError, PreconditionFailedError if it has another ETag.
        """
        check_range(start, length)
        stored = self._read(key)
        if etag not in {None, stored.etag}:
            raise overwritten_error(self.url, key, str(etag))
        return memoryview(stored.data)[start : start + length]

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object (bytes, or a file's), whatever is there; return its ETag."""
        check_key(key)
        content = _content(data)
        with self._space.lock:
            return self._write(key, content)

    def create(self, key: str, data: bytes | Path) -> str:
        """Write an object that must not exist yet. Raises PreconditionFailedError if it does."""
        check_key(key)
        content = _content(data)
        with self._space.lock:
            if key in self._space.objects:
                raise already_exists_error(self.url, key)
            return self._write(key, content)

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        """Overwrite an object that must still have `etag`. Raises PreconditionFailedError if it has not, or is gone."""
        check_key(key)
        content = _content(data)
        with self._space.lock:
            self._require(key, etag)
            return self._write(key, content)

    def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove an object; it is no error if there is none, unless `etag` is given. Raises PreconditionFailedError."""
        check_key(key)
        with self._space.lock:
            if etag is not None:
                self._require(key, etag)
            self._space.objects.pop(key, None)

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys start with `prefix`, in the order of their keys."""
        check_prefix(prefix)
        with self._space.lock:
            matches = sorted(pair for pair in self._space.objects.items() if pair[0].startswith(prefix))
        return iter([Entry(key, len(stored.data), stored.modified) for key, stored in matches])

    def _read(self, key: str) -> _Object:
        stored = self._space.objects.get(check_key(key))
        if stored is None:
            raise not_found_error(self.url, key)
        return stored

    def _require(self, key: str, etag: str) -> None:
        stored = self._space.objects.get(key)
        if stored is None or stored.etag != etag:
            raise changed_error(self.url, key, etag)

    def _write(self, key: str, content: bytes) -> str:
        etag = f"{next(self._space.writes):x}"
        self._space.objects[key] = _Object(content, etag, time.time())
        return etag


def _content(data: bytes | Path) -> bytes:
    """The bytes to write: an immutable copy."""
    if not isinstance(data, Path):
        return bytes(data)
    try:
        return data.read_bytes()
    except OSError as error:
        raise unreadable_error(data, error) from error
