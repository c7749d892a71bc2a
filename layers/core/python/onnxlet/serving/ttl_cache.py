"""What a serving process believes of the store: read once, believed for a while, and longer while the store is down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

from onnxlet.errors import IntegrityError, OnnxletError, UnavailableError
from onnxlet.telemetry import log

RETRY = 1.0
"""Seconds between two tries of what failed, if that is less than the time to live."""
SLOWNESS = 10
"""A try that took long to fail is repeated only after that many times as long, as far as the time to live allows."""
MOST_REFUSALS = 1024
"""Errors remembered at once: names that do not exist are many."""

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")


class Belief(Generic[Value]):
    """A value with its ETag, believed until `time.monotonic` passes `until`; `stale` if reading it again failed."""

    __slots__ = ("etag", "stale", "until", "value")

    def __init__(self, value: Value, etag: str, until: float, *, stale: bool) -> None:
        self.value = value
        self.etag = etag
        self.until = until
        self.stale = stale


class Believed(Generic[Name, Value]):
    """Values by name, each believed for `ttl` seconds.

    `read(name, etag)` gives a value and its ETag, or None if it still has `etag`. One thread at a time asks for a name;
    others go on with what is known, or wait if nothing is.
    """

    def __init__(self, ttl: float, read: Callable[[Name, str], tuple[Value, str] | None]) -> None:
        self._ttl = ttl
        self._read = read
        self._beliefs: dict[Name, Belief[Value]] = {}
        self._refusals: dict[Name, tuple[float, OnnxletError]] = {}
        self._locks: dict[Name, threading.Lock] = {}

    def get(self, name: Name) -> Belief[Value]:
        """What is believed of `name` now. Raises what `read` raises, unless an earlier answer can stand in for it."""
        belief = self._beliefs.get(name)
        if belief is not None and monotonic() < belief.until:
            return belief
        lock = self._locks.setdefault(name, threading.Lock())
        if belief is not None and lock.locked():
            return belief
        with lock:
            belief = self._beliefs.get(name)
            if belief is not None and monotonic() < belief.until:
                return belief
            try:
                return self._read_again(name, belief)
            finally:
                self._locks.pop(name, None)

    def renew(self, name: Name) -> Belief[Value]:
        """Read `name` again before its time; others go on meanwhile with what is known. Raises as `get` does."""
        with self._locks.setdefault(name, threading.Lock()):
            try:
                return self._read_again(name, self._beliefs.get(name))
            finally:
                self._locks.pop(name, None)

    def _read_again(self, name: Name, belief: Belief[Value] | None) -> Belief[Value]:
        started = monotonic()
        until, refusal = self._refusals.get(name, (0.0, None))
        if refusal is not None and started < until:
            raise again(refusal)
        try:
            answer = self._read(name, "" if belief is None else belief.etag)
        except OnnxletError as error:
            now = monotonic()
            pause = min(self._ttl, max(RETRY, SLOWNESS * (now - started)))
            if belief is None or not isinstance(error, UnavailableError | IntegrityError):
                self._refuse(name, now + pause, error)
                raise
            log(__name__).warning("serving what was last known: %s", error.detail)
            renewed = Belief(belief.value, belief.etag, now + pause, stale=True)
        else:
            value, etag = (belief.value, belief.etag) if answer is None and belief is not None else _must(answer)
            renewed = Belief(value, etag, monotonic() + self._ttl, stale=False)
        self._beliefs[name] = renewed
        return renewed

    def _refuse(self, name: Name, until: float, error: OnnxletError) -> None:
        if len(self._refusals) >= MOST_REFUSALS:
            self._refusals.clear()
        self._refusals[name] = (until, error)
        self._beliefs.pop(name, None)


def again(error: OnnxletError) -> OnnxletError:
    """The same error anew: one instance raised by several threads would gather all their tracebacks."""
    return type(error)(error.detail, **error.context)


def _must(answer: tuple[Value, str] | None) -> tuple[Value, str]:
    if answer is None:
        raise IntegrityError("the store says that nothing changed where nothing was known")
    return answer
