"""An object of a store read forward: in windows, the next of which is on its way while one is used.

Some that were used are kept: the columns of a row group are read side by side.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxlet.batch.book import SourceFile
    from onnxlet.store import Store

WINDOW_BYTES = 8 * 2**20
"""What S3 is asked for at once: it advises 8 or 16 MB."""
AHEAD = 2
"""Windows on their way."""
KEPT = 9
"""Windows that are held, with those on their way."""


class ForwardSource:
    """The object of a store that a source is. It is another one if it was overwritten: PreconditionFailedError."""

    def __init__(self, store: Store, key: str, source: SourceFile) -> None:
        self.size = source.size
        self._store = store
        self._key = key
        self._etag = source.etag
        self._pool = ThreadPoolExecutor(AHEAD, "onnxlet-reading")
        self._windows: dict[int, Future[bytes | memoryview]] = {}

    def read(self, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer where the object ends sooner."""
        end = min(start + length, self.size)
        if start >= end:
            return b""
        first, last = start // WINDOW_BYTES, (end - 1) // WINDOW_BYTES
        parts = [self._window(number) for number in range(first, last + 1)]
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        return bytes(memoryview(data)[start - first * WINDOW_BYTES : end - first * WINDOW_BYTES])

    def close(self) -> None:
        """Wait for nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _window(self, number: int) -> bytes | memoryview:
        wanted = range(number, min(number + AHEAD, -(-self.size // WINDOW_BYTES)))
        for each in reversed(wanted):
            # what was used last is at the end
            held = self._windows.pop(each) if each in self._windows else self._pool.submit(self._fetch, each)
            self._windows[each] = held
        while len(self._windows) > KEPT:
            self._windows.pop(next(iter(self._windows))).cancel()
        return self._windows[number].result()

    def _fetch(self, number: int) -> bytes | memoryview:
        return self._store.get_range(self._key, number * WINDOW_BYTES, WINDOW_BYTES, etag=self._etag)
