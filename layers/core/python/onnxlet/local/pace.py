"""Pace: which predictions are made on the event loop itself, and which in a thread beside it.

A hop to a thread and back costs about as much as a small prediction does, but a prediction that takes long would hold
up everyone else's requests, health checks included. So a path is answered in place while its latest answer was quick.
"""

from __future__ import annotations

QUICK = 0.002
"""Seconds that one answer may hold up the event loop."""
SMALL_BODY = 64 * 1024
"""Bytes of a body up to which one request is judged by another to the same path."""
MOST_PATHS = 1024
"""Paths remembered; when there are more, all are judged anew."""

AT_ONCE = frozenset({"/v2/health/live"})
"""Paths that wait for nothing, ever."""


class Pace:
    """What the latest answer at each path took."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def in_place(self, method: str, path: str, size: int) -> bool:
        """Whether a request with a body of `size` bytes may be answered on the event loop.

        Only predictions are judged by their past: what else there is asks the store, whose pace can change any time.
        """
        if method != "POST":
            return path in AT_ONCE
        return size <= SMALL_BODY and self._seconds.get(path, QUICK) < QUICK

    def record(self, path: str, seconds: float) -> None:
        """Remember what the answer to a request took."""
        if len(self._seconds) >= MOST_PATHS:
            self._seconds.clear()
        self._seconds[path] = seconds
