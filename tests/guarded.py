"""A store as S3 is for a function: what its own policy and the bucket's do not allow is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from onnxlet.errors import StoreUnavailableError
from onnxlet.store import Blob, Entry, Head, Store
from templates import grants, listing, stack

WRITTEN_ONCE = ("models/*", "history/*")
"""Where the bucket takes no put and no swap, see test_storage.py."""


@dataclass
class Guarded:
    """The store of a function in a stack with these `parameters`; `used` is what it needed of what it is allowed."""

    inner: Store
    function: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    allowed: set[tuple[str, str]] = field(init=False)
    used: set[tuple[str, str]] = field(init=False, default_factory=set)
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = self.inner.url
        built = stack(**self.parameters)
        prefixes = listing(built, self.function)["Condition"]["StringLikeIfExists"]["s3:prefix"]
        self.allowed = grants(built, self.function) | {("s3:ListBucket", prefix) for prefix in prefixes}

    def _check(self, action: str, key: str) -> None:
        fitting = {(granted, it) for granted, it in self.allowed if action == granted and fnmatchcase(key, it)}
        if not fitting:
            raise StoreUnavailableError(f"{self.function} may not {action} {key!r}")
        self.used |= fitting

    def get(self, key: str) -> Blob:
        self._check("s3:GetObject", key)
        return self.inner.get(key)

    def get_if_changed(self, key: str, etag: str) -> Blob | None:
        self._check("s3:GetObject", key)
        return self.inner.get_if_changed(key, etag)

    def head(self, key: str) -> Head:
        self._check("s3:GetObject", key)
        return self.inner.head(key)

    def get_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | memoryview:
        self._check("s3:GetObject", key)
        return self.inner.get_range(key, start, length, etag=etag)

    def put(self, key: str, data: bytes | Path) -> str:
        self._check("s3:PutObject", key)
        assert not any(fnmatchcase(key, pattern) for pattern in (*WRITTEN_ONCE, "aliases/*", "settings/*"))
        return self.inner.put(key, data)

    def create(self, key: str, data: bytes | Path) -> str:
        self._check("s3:PutObject", key)
        return self.inner.create(key, data)

    def swap(self, key: str, data: bytes | Path, etag: str) -> str:
        self._check("s3:PutObject", key)
        assert not any(fnmatchcase(key, pattern) for pattern in WRITTEN_ONCE)
        return self.inner.swap(key, data, etag)

    def delete(self, key: str, *, etag: str | None = None) -> None:
        self._check("s3:DeleteObject", key)
        self.inner.delete(key, etag=etag)

    def list(self, prefix: str) -> Iterator[Entry]:
        self._check("s3:ListBucket", prefix)
        return self.inner.list(prefix)
