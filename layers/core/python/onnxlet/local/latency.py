"""Latencies: which predictions run on the event loop itself, and which in a thread beside it.

A thread doubles what a small prediction costs the processor, but a prediction that takes long on the event loop holds
up everybody else, health checks included. So a path is answered on the event loop while its latest answers were quick.
"""

from __future__ import annotations

QUICK = 0.002
"""Seconds that one answer may hold up the event loop."""
DECAY = 0.9
"""What is left of a slow answer's seconds after every answer that was quicker."""
SMALL_BODY = 64 * 1024
"""Bytes of a body up to which one request is judged by the others to its path."""
MOST_PATHS = 1024
"""Paths remembered; when there are more, all are judged anew."""


class Latencies:
    """What the latest answers at each path took."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def is_quick(self, path: str, size: int) -> bool:
        """Whether a prediction for a body of `size` bytes may run on the event loop."""
        return size <= SMALL_BODY and self._seconds.get(path, QUICK) < QUICK

    def record(self, path: str, seconds: float) -> None:
        """Remember what a prediction took."""
        if len(self._seconds) >= MOST_PATHS:
            self._seconds.clear()
        self._seconds[path] = max(seconds, DECAY * self._seconds.get(path, 0.0))
