"""Parallel ranged reads: an object's bytes in order, while the next ranges are on their way.

S3's own guidance is ranges of 8 or 16 MB over several connections, one for each 85 to 90 MB/s that are wanted
("Performance design patterns for Amazon S3"). Three of them are more than a Lambda function's network carries for long
(some 75 MB/s), and each request takes a while to begin, so an object that three ranges can hold is not cut finer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic

from onnxlet.errors import OnnxletError, StoreUnavailableError
from onnxlet.store import Store

RANGE = 16 * 2**20
"""Bytes of one ranged read, at least; smaller objects are read whole."""
LONGEST = 2 * RANGE
"""Bytes of one ranged read, at most."""
IN_FLIGHT = 3
"""Ranges that are held or on their way at once."""


Keep = Callable[[bytes | memoryview, int], None]
"""Takes a range and where it starts, in the thread that read it."""


def read_ranges(store: Store, key: str, size: int, until: float, keep: Keep) -> Iterator[bytes | memoryview]:
    """The first `size` bytes of an object, range by range, each kept before; ends early where the object does.

    Raises StoreUnavailableError once `time.monotonic` passes `until`, what the store raises, and OSError of `keep`.
    """
    reading = _Reading(store, key, size, keep)
    try:
        for number in range(reading.count):
            chunk = reading.wait_for(number, until)
            yield chunk
            if len(chunk) < reading.range:
                return
    finally:
        reading.stop()


def range_of(size: int) -> int:
    """Bytes of each ranged read of an object of `size` bytes, but for the last."""
    return min(max(RANGE, -(-size // IN_FLIGHT)), LONGEST)


def took_too_long(key: str) -> StoreUnavailableError:
    """The error of a fetch past its deadline."""
    return StoreUnavailableError(f"fetching {key!r} took too long: raise ONNXLET_LOAD_DEADLINE")


class _Reading:
    """Workers that read ranges ahead of the one who consumes them, at most IN_FLIGHT."""

    def __init__(self, store: Store, key: str, size: int, keep: Keep) -> None:
        self.range = range_of(size)
        self.count = -(-size // self.range)
        self._store, self._key, self._size, self._keep = store, key, size, keep
        self._changed = threading.Condition()
        self._arrived: dict[int, bytes | memoryview] = {}
        self._next = 0
        self._consumed = 0
        self._keeping = 0
        self._error: OnnxletError | OSError | None = None
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
        """End it; once this returns, nothing is given to `keep` any more, which may close what it writes to."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            while self._keeping:
                self._changed.wait()

    def _work(self) -> None:
        while (number := self._claim()) is not None:
            self._read(number)

    def _read(self, number: int) -> None:
        start = number * self.range
        try:
            chunk = self._store.get_range(self._key, start, min(self.range, self._size - start))
            if not self._kept(chunk, start):
                return
        except (OnnxletError, OSError) as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
        else:
            with self._changed:
                self._arrived[number] = chunk
                self._changed.notify_all()

    def _kept(self, chunk: bytes | memoryview, start: int) -> bool:
        with self._changed:
            if self._stopped:
                return False
            self._keeping += 1
        try:
            self._keep(chunk, start)
        finally:
            with self._changed:
                self._keeping -= 1
                self._changed.notify_all()
        return True

    def _claim(self) -> int | None:
        with self._changed:
            while not self._stopped and self._error is None and self._next < self.count:
                if self._next < self._consumed + IN_FLIGHT:
                    self._next += 1
                    return self._next - 1
                self._changed.wait()
            return None
