"""The watchdog: one thread that stops runs and loads of models once their time is up.

A run enters itself in a plain dictionary and leaves it when it ends: no lock, thread or timer of its own. The watchdog
looks through the dictionary every twentieth of the shortest deadline, and stops a run at most that much late.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic

SLOWEST = 1.0
"""Seconds between two looks, at most."""
FASTEST = 0.005
"""Seconds between two looks, at least."""


class Watchdog:
    """Calls what was entered in `running` once its time has come; the thread starts with the first deadline.

    `running` maps the one who runs to a due time, in `time.monotonic` seconds. Setting and deleting a key of a
    dictionary is atomic, and so is copying it: neither side needs a lock. Something that is due may be stopped twice.
    What left before it was due never is: the clock is read before the dictionary.
    """

    def __init__(self, stop: Callable[[object], None]) -> None:
        self.running: dict[object, float] = {}
        self._stop = stop
        self._interval = SLOWEST
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._sooner = threading.Event()
        os.register_at_fork(after_in_child=self._after_fork)

    def attend(self, deadline: float) -> None:
        """Look often enough for runs that may last `deadline` seconds, from now on."""
        with self._starting:
            interval = min(max(deadline / 20, FASTEST), SLOWEST)
            if interval < self._interval:
                self._interval = interval
                self._sooner.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="onnxlet-watchdog", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        while True:
            if self._sooner.wait(self._interval):
                self._sooner.clear()
            if self.running:
                now = monotonic()
                for who, due in self.running.copy().items():
                    if due <= now:
                        self._stop(who)

    def _after_fork(self) -> None:
        # threads do not survive a fork, what the parent runs is not ours, and a lock may have been held
        self.running.clear()
        self._starting = threading.Lock()
        self._sooner = threading.Event()
        if self._thread is not None:
            self._thread = None
            self.attend(self._interval * 20)
