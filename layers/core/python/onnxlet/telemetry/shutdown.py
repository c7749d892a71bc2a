"""SIGTERM: Lambda ends a function that has an extension with it, and kills half a second later.

A handler of Python's runs in the main thread, between two of its instructions: where the runtime waits there, in C,
for the next invocation, never. So the signal is written to a pipe, which the interpreter does at once, and a thread
reads it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # `signal` makes enumerations, a millisecond of each cold start
import os
import threading

from onnxlet.telemetry.recording import Telemetry

SIGTERM = 15


def flush_on_sigterm(telemetry: Telemetry) -> None:
    """Write what is left when SIGTERM comes, then end the process. To be called in the main thread."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    _signal.signal(SIGTERM, _ignore)
    _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_wait, args=(telemetry, reading), name="onnxlet-shutdown", daemon=True).start()


def _ignore(number: int, frame: object) -> None:
    """Leave the signal to the thread."""


def _wait(telemetry: Telemetry, reading: int) -> None:
    while SIGTERM not in os.read(reading, 64):
        continue
    telemetry.flush(final=True)
    os._exit(0)
