"""The watch as a Lambda function that a schedule invokes."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import msgspec

from onnxlet.errors import IntegrityError
from onnxlet.monitor.watch.event_bridge import EventBridge
from onnxlet.monitor.watch.measures import tell_metrics
from onnxlet.monitor.watch.run import Watch
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.telemetry import log

RESERVE = 60_000
"""Milliseconds that must be left to begin with a model, or with another thousand parts."""


class Context(Protocol):
    """What Lambda says of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until it is ended."""


def open_watch(store: Store, settings: Settings) -> Watch:
    """A watch that tells EventBridge of alarms, and CloudWatch of metrics by its log."""
    return Watch(store, announcer=EventBridge(), tell=partial(tell_metrics, settings.function_name or "watch"))


def handle(watch: Watch, context: Context | None) -> dict[str, Any]:
    """One run, as long as Lambda lets it; what it did is in the log, too.

    Raises IntegrityError, once all others were looked at, where models could not be: the function's errors count.
    """
    run = watch.run(out_of_time=lambda: context is not None and context.get_remaining_time_in_millis() < RESERVE)
    done: dict[str, Any] = msgspec.to_builtins(run)
    log(__name__).info("watched", extra=done)
    if run.failed:
        raise IntegrityError(f"{len(run.failed)} models are not watched: {', '.join(run.failed)}; the log says why")
    return done
