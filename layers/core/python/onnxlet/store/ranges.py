"""Parallel ranged reads: an object's bytes in order, while the next ranges are on their way.

AWS advises ranges of 8 or 16 MB over several connections, one for each 85 to 90 MB/s that are wanted ("Performance
design patterns for Amazon S3"). Three connections carry more than a Lambda function's network does for long (some
75 MB/s). Each request takes a while to begin, so an object of up to three times MAX_RANGE is cut into three at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from onnxlet.errors import StoreUnavailableError
from onnxlet.store import Store

MIN_RANGE = 16 * 2**20
"""Bytes of one ranged read, at least; smaller objects are read whole."""
MAX_RANGE = 2 * MIN_RANGE
"""Bytes of one ranged read, at most."""
IN_FLIGHT = 3
"""Ranges that are held or on their way at once."""


OnRange = Callable[[bytes | memoryview, int], None]
"""Is given the bytes of a range and where they start, in the thread that read them."""


@contextmanager
def read_ranges(
    store: Store, key: str, size: int, until: float, on_range: OnRange
) -> Iterator[Iterator[bytes | memoryview]]:
    """The first `size` bytes of an object, range by range, in order; fewer where the object ends sooner.

    They are on their way as soon as the context begins, and none when it has ended. `on_range` is called with each
    range as it arrives: it can write them to a file, which is whole when the context ends. Raises StoreUnavailableError
    once `time.monotonic` passes `until`, and what the store or `on_range` raises.
    """
    reader = _RangeReader(store, key, size, on_range)
    try:
        yield reader.in_order(until)
    finally:
        reader.stop()
    if reader.error is not None:
        raise reader.error


def range_size(size: int) -> int:
    """Bytes of each ranged read of an object of `size` bytes, but for the last."""
    return min(max(MIN_RANGE, -(-size // IN_FLIGHT)), MAX_RANGE)


def timeout_error(key: str) -> StoreUnavailableError:
    """The error of a read past its deadline."""
    return StoreUnavailableError(f"fetching {key!r} took too long: raise ONNXLET_LOAD_DEADLINE")


class _RangeReader:
    """Threads that read ranges ahead of the caller who consumes them, at most IN_FLIGHT of them."""

    def __init__(self, store: Store, key: str, size: int, on_range: OnRange) -> None:
        self.range_size = range_size(size)
        self.count = -(-size // self.range_size)
        self._store, self._key, self._size, self._on_range = store, key, size, on_range
        self._changed = threading.Condition()
        self._arrived: dict[int, bytes | memoryview] = {}
        self._next = 0
        self._consumed = 0
        self._calling = 0
        self.error: Exception | None = None
        self._stopped = False
        for _ in range(min(IN_FLIGHT, self.count)):
            threading.Thread(target=self._work, name="onnxlet-fetch", daemon=True).start()

    def in_order(self, until: float) -> Iterator[bytes | memoryview]:
        for number in range(self.count):
            chunk = self._wait_for(number, until)
            yield chunk
            if len(chunk) < self.range_size:
                return

    def stop(self) -> None:
        """End the reading. Once this returns `on_range` is not called any more, so that its file may be closed."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            while self._calling:
                self._changed.wait()

    def _wait_for(self, number: int, until: float) -> bytes | memoryview:
        with self._changed:
            self._consumed = number
            self._changed.notify_all()
            while number not in self._arrived:
                if self.error is not None:
                    raise self.error
                seconds_left = until - monotonic()
                if seconds_left <= 0:
                    raise timeout_error(self._key)
                self._changed.wait(seconds_left)
            return self._arrived.pop(number)

    def _work(self) -> None:
        while (number := self._next_number()) is not None:
            self._read(number)

    def _read(self, number: int) -> None:
        start = number * self.range_size
        try:
            chunk = self._store.get_range(self._key, start, min(self.range_size, self._size - start))
        except Exception as error:  # noqa: BLE001 - the caller raises it
            with self._changed:
                self.error = error
                self._changed.notify_all()
        else:
            self._hand_over(number, chunk, start)

    def _hand_over(self, number: int, chunk: bytes | memoryview, start: int) -> None:
        """Let the caller have the range, and call `on_range` meanwhile, unless the reading has ended."""
        with self._changed:
            if self._stopped:
                return
            self._calling += 1
            self._arrived[number] = chunk
            self._changed.notify_all()
        try:
            self._on_range(chunk, start)
        except Exception as error:  # noqa: BLE001 - the caller has the range already
            self.error = error  # known before `stop` returns
        finally:
            with self._changed:
                self._calling -= 1
                self._changed.notify_all()

    def _next_number(self) -> int | None:
        """The next range to read, once there is room for it; None when there is no more to read."""
        with self._changed:
            while not self._stopped and self.error is None and self._next < self.count:
                if self._next < self._consumed + IN_FLIGHT:
                    self._next += 1
                    return self._next - 1
                self._changed.wait()
            return None
