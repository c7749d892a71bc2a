"""A cache of what a serving process reads of the store, in the terms of RFC 5861.

An entry is fresh for its time to live. After that the next caller revalidates it, by its ETag where it has one; callers
that come meanwhile get the stale entry (stale-while-revalidate). If the store is down, or what it holds is damaged, the
stale entry is served for as long as that lasts (stale-if-error). Errors are cached too, for a shorter time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

from onnxlet.errors import IntegrityError, OnnxletError, UnavailableError
from onnxlet.telemetry import log

RETRY_INTERVAL = 1.0
"""Seconds between two tries of what failed, if that is less than the time to live."""
BACKOFF = 10
"""A read that took long to fail is tried again after this many times as long, or after the time to live."""
MOST_ERRORS = 1024
"""Errors cached at once: names that do not exist are many."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class CachedValue(Generic[Value]):
    """A value, its ETag, and the time of the cache's clock at which it `expires`.

    `stale`: the last try to read it again failed, so that the store may hold another value by now.
    """

    __slots__ = ("etag", "expires", "stale", "value")

    def __init__(self, value: Value, etag: str, expires: float, *, stale: bool) -> None:
        self.value = value
        self.etag = etag
        self.expires = expires
        self.stale = stale


class TtlCache(Generic[Key, Value]):
    """Values by key, each fresh for `ttl` seconds of `clock`. Safe from several threads at once.

    `read(key, etag)` returns a value and its ETag, or None if the value still has `etag`; the ETag is empty where none
    is known. One thread at a time reads a key; others get the stale value meanwhile, or wait if there is none.

        aliases = TtlCache(10.0, read_alias)
        aliases.get(("diagnosis", "production")).value.routes
    """

    def __init__(
        self,
        ttl: float,
        read: Callable[[Key, str], tuple[Value, str] | None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._ttl = ttl
        self._read = read
        self._clock = clock
        self._values: dict[Key, CachedValue[Value]] = {}
        self._errors: dict[Key, tuple[OnnxletError, float]] = {}
        self._locks: dict[Key, threading.Lock] = {}

    def get(self, key: Key) -> CachedValue[Value]:
        """The value of `key`, read if there is none that is fresh.

        Raises what `read` raises, unless a stale value can be served instead.
        """
        cached = self._values.get(key)
        if cached is not None and self._clock() < cached.expires:
            return cached
        lock = self._locks.setdefault(key, threading.Lock())
        if cached is not None and lock.locked():
            return cached
        with lock:
            cached = self._values.get(key)
            if cached is not None and self._clock() < cached.expires:
                return cached
            try:
                return self._revalidate(key, cached)
            finally:
                self._locks.pop(key, None)

    def refresh(self, key: Key) -> CachedValue[Value]:
        """Read `key` again although it may be fresh. Raises as `get` does."""
        with self._locks.setdefault(key, threading.Lock()):
            try:
                return self._revalidate(key, self._values.get(key))
            finally:
                self._locks.pop(key, None)

    def _revalidate(self, key: Key, cached: CachedValue[Value] | None) -> CachedValue[Value]:
        started = self._clock()
        cached_error, expires = self._errors.get(key, (None, 0.0))
        if cached_error is not None and started < expires:
            raise copy_error(cached_error)
        try:
            answer = self._read(key, "" if cached is None else cached.etag)
        except OnnxletError as error:
            now = self._clock()
            expires = now + min(self._ttl, max(RETRY_INTERVAL, BACKOFF * (now - started)))
            if cached is None or not isinstance(error, UnavailableError | IntegrityError):
                self._cache_error(key, error, expires)
                raise
            log(__name__).warning("serving what was last known: %s", error.detail)
            renewed = CachedValue(cached.value, cached.etag, expires, stale=True)
        else:
            value, etag = (cached.value, cached.etag) if answer is None and cached is not None else _require(answer)
            renewed = CachedValue(value, etag, self._clock() + self._ttl, stale=False)
        self._values[key] = renewed
        return renewed

    def _cache_error(self, key: Key, error: OnnxletError, expires: float) -> None:
        if len(self._errors) >= MOST_ERRORS:
            self._errors.clear()
        self._errors[key] = (error, expires)
        self._values.pop(key, None)


def copy_error(error: OnnxletError) -> OnnxletError:
    """An equal error to raise. One instance that several threads raise would gather all their tracebacks."""
    return type(error)(error.detail, **error.context)


def _require(answer: tuple[Value, str] | None) -> tuple[Value, str]:
    if answer is None:
        raise IntegrityError("the store says that nothing changed where nothing was known")
    return answer
