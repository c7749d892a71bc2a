"""A thread that folds and flushes beside the requests, where a process goes on between them."""

from __future__ import annotations

import threading

from onnxlet.telemetry.recording import Telemetry

INTERVAL = 0.25
"""Seconds between two looks: what a process that is killed loses, and how long tensors are held."""


GRACE = 5.0
"""Seconds that the last flush may take: a store that does not answer holds up nobody's end."""


class Background:
    """Flushes every INTERVAL seconds from `start` to `stop`, and then once more."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onnxlet-telemetry", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once what is left is written, or GRACE seconds have passed."""
        self._over.set()
        self._thread.join(GRACE)

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            self._telemetry.flush()
        self._telemetry.flush(final=True)
