"""Parallel ranged reads: an object's bytes in order, while the next ranges are on their way.

S3's own guidance is ranges of 8 or 16 MB over several connections ("Performance design patterns for Amazon S3").
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic

from onnxlet.errors import OnnxletError, StoreUnavailableError
from onnxlet.store import Store

RANGE = 16 * 2**20
"""Bytes of one ranged read; smaller objects are read whole."""
IN_FLIGHT = 8
"""Ranges that are held or on their way at once."""


def read_ranges(store: Store, key: str, size: int, until: float) -> Iterator[bytes | memoryview]:
    """The first `size` bytes of an object, range by range; ends early where the object does.

    Raises StoreUnavailableError once `time.monotonic` passes `until`, and what the store raises.
    """
    reading = _Reading(store, key, size)
    try:
        for number in range(reading.count):
            chunk = reading.wait_for(number, until)
            yield chunk
            if len(chunk) < RANGE:
                return
    finally:
        reading.stop()


def took_too_long(key: str) -> StoreUnavailableError:
    """The error of a fetch past its deadline."""
    return StoreUnavailableError(f"fetching {key!r} took too long: raise ONNXLET_LOAD_DEADLINE")


class _Reading:
    """Workers that read ranges ahead of the one who consumes them, at most IN_FLIGHT."""

    def __init__(self, store: Store, key: str, size: int) -> None:
        self.count = -(-size // RANGE)
        self._store, self._key, self._size = store, key, size
        self._changed = threading.Condition()
        self._arrived: dict[int, bytes | memoryview] = {}
        self._next = 0
        self._consumed = 0
        self._error: OnnxletError | None = None
        self._stopped = False
        for _ in range(min(IN_FLIGHT, self.count)):
            threading.Thread(target=self._work, name="onnxlet-fetch", daemon=True).start()

    def wait_for(self, number: int, until: float) -> bytes | memoryview:
        with self._changed:
            self._consumed = number
            self._changed.notify_all()
            while number not in self._arrived:
                if self._error is not None:
                    raise self._error
                left = until - monotonic()
                if left <= 0:
                    raise took_too_long(self._key)
                self._changed.wait(left)
            return self._arrived.pop(number)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (number := self._claim()) is not None:
            self._read(number)

    def _read(self, number: int) -> None:
        start = number * RANGE
        try:
            chunk = self._store.get_range(self._key, start, min(RANGE, self._size - start))
        except OnnxletError as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
        else:
            with self._changed:
                self._arrived[number] = chunk
                self._changed.notify_all()

    def _claim(self) -> int | None:
        with self._changed:
            while not self._stopped and self._error is None and self._next < self.count:
                if self._next < self._consumed + IN_FLIGHT:
                    self._next += 1
                    return self._next - 1
                self._changed.wait()
            return None
