"""Lambda's internal extension: what a request left behind is folded and written after its answer is on its way.

Lambda answers the caller as soon as the handler returns, and freezes the environment once the extension, too, asks for
the next invocation; what the extension takes until then is billed. So it asks at once unless something is to be done.
The work starts PAUSE seconds after the handler's end: the runtime that hands the answer over needs the interpreter's
lock.
"""

from __future__ import annotations

import threading
import time

from onnxlet.telemetry import log
from onnxlet.telemetry.recording import Telemetry
from onnxlet.telemetry.runtime_api import RuntimeApi, RuntimeApiError, Waiting

PAUSE = 0.002
BRIEF = 0.05
"""Seconds within which most handlers end; only for the others their deadline is looked at."""
MARGIN = 0.5
"""Seconds before an invocation's deadline at which the extension stops waiting for its handler."""


class Extension:
    """One thread that waits for an invocation, for its handler's end, and then works."""

    def __init__(self, telemetry: Telemetry, api: RuntimeApi) -> None:
        self._telemetry = telemetry
        self._api = api
        self._unanswered = threading.Lock()
        self._unanswered.acquire()
        self._attends = True
        self._thread = threading.Thread(target=self._run, name="onnxlet-telemetry", daemon=True)

    def start(self) -> None:
        """Ask for the first invocation: without that, Lambda never ends the initialization."""
        self._thread.start()

    def answered(self) -> None:
        """Say that the handler ends, however it does."""
        if self._attends:
            if self._unanswered.locked():
                self._unanswered.release()
        else:
            self._telemetry.flush_if_due()

    def _run(self) -> None:
        try:
            while True:
                self._attend_invocation()
        except (RuntimeApiError, OSError) as error:
            log(__name__).error("the extension ends, metrics are written before answers: %s", error)
        finally:
            self._attends = False

    def _attend_invocation(self) -> None:
        self._unanswered.acquire(blocking=False)  # one that was given up may have ended since
        waiting = self._api.next_event()
        waiting.begin()
        self._await_answer(waiting)
        if self._telemetry.is_due():
            time.sleep(PAUSE)
            self._telemetry.flush()
        elif self._telemetry.is_heavy():
            time.sleep(PAUSE)
            self._telemetry.fold()

    def _await_answer(self, waiting: Waiting) -> None:
        """Wait for the handler's end; the event is read only then, to leave the interpreter to the handler."""
        if self._unanswered.acquire(timeout=BRIEF):
            waiting.event()
            return
        left = waiting.event()["deadlineMs"] / 1000 - MARGIN - time.time()
        self._unanswered.acquire(timeout=max(left, 0))
