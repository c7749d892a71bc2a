"""Pace: which predictions are made on the event loop itself, and which in a thread beside it.

A thread costs a small prediction as much again, but one that takes long would hold up everybody on the event loop,
health checks included. So a path is answered in place while its latest answers were quick.
"""

from __future__ import annotations

QUICK = 0.002
"""Seconds that one answer may hold up the event loop."""
FORGETTING = 0.9
"""What is left of a slow answer's seconds after every answer that was quicker."""
SMALL_BODY = 64 * 1024
"""Bytes of a body up to which one request is judged by the others to its path."""
MOST_PATHS = 1024
"""Paths remembered; when there are more, all are judged anew."""


class Pace:
    """What the latest answers at each path took."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def in_place(self, path: str, size: int) -> bool:
        """Whether a prediction for a body of `size` bytes may be made on the event loop."""
        return size <= SMALL_BODY and self.expected(path) < QUICK

    def expected(self, path: str) -> float:
        """The seconds that a prediction is expected to take."""
        return self._seconds.get(path, QUICK)

    def record(self, path: str, seconds: float) -> None:
        """Remember what a prediction took."""
        if len(self._seconds) >= MOST_PATHS:
            self._seconds.clear()
        self._seconds[path] = max(seconds, FORGETTING * self._seconds.get(path, 0.0))
