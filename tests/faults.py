"""Stores that fail or act when told to, around a real one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from onnxlet.errors import StoreUnavailableError
from onnxlet.store import Blob, Entry, Head, Store


class FragileStore:
    """Passes everything on to `store`; may be `down`, `slow` by seconds, and counts `reads` by key.

    `changed` gives other bytes for a key than the store holds.
    """

    def __init__(self, store: Store) -> None:
        self.url = store.url
        self.down = False
        self.slow = 0.0
        self.reads: Counter[str] = Counter()
        self.changed: dict[str, Callable[[bytes], bytes]] = {}
        self._store = store

    def get(self, key: str) -> Blob:
        self._read(key)
        blob = self._store.get(key)
        return msgspec.structs.replace(blob, data=self._content(key, blob.data))

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        self._read(key)
        return self._store.get_if_changed(key, etag)

    def head(self, key: str) -> Head:
        self._read(key)
        return self._store.head(key)

    def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | memoryview:
        self._read(key)
        if key in self.changed:
            return self._content(key, self._store.get(key).data)[start : start + length]
        return self._store.get_range(key, start, length, etag=etag)

    def put(self, key: str, data: bytes | Path) -> str:
        return self._store.put(key, data)

    def create(self, key: str, data: bytes | Path) -> str:
        return self._store.create(key, data)

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        return self._store.swap(key, data, etag)

    def delete(self, key: str, *, etag: str | None = None) -> None:
        self._store.delete(key, etag=etag)

    def list(self, prefix: str) -> Iterator[Entry]:
        self._read(prefix)
        return self._store.list(prefix)

    def _read(self, key: str) -> None:
        self.reads[key] += 1
        if self.slow:
            time.sleep(self.slow)
        if self.down:
            raise StoreUnavailableError("the store is down")

    def _content(self, key: str, data: bytes) -> bytes:
        return self.changed[key](data) if key in self.changed else data


class WatchedStore:
    """Calls `before` with the method and the key before each call is passed on to `store`; what it raises is raised."""

    def __init__(self, store: Store, before: Callable[[str, str], None]) -> None:
        self.url = store.url
        self._store = store
        self._before = before

    def get(self, key: str) -> Blob:
        self._before("get", key)
        return self._store.get(key)

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        self._before("get_if_changed", key)
        return self._store.get_if_changed(key, etag)

    def head(self, key: str) -> Head:
        self._before("head", key)
        return self._store.head(key)

    def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | memoryview:
        self._before("get_range", key)
        return self._store.get_range(key, start, length, etag=etag)

    def put(self, key: str, data: bytes | Path) -> str:
        self._before("put", key)
        return self._store.put(key, data)

    def create(self, key: str, data: bytes | Path) -> str:
        self._before("create", key)
        return self._store.create(key, data)

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        self._before("swap", key)
        return self._store.swap(key, data, etag)

    def delete(self, key: str, *, etag: str | None = None) -> None:
        self._before("delete", key)
        self._store.delete(key, etag=etag)

    def list(self, prefix: str) -> Iterator[Entry]:
        self._before("list", prefix)
        return self._store.list(prefix)
