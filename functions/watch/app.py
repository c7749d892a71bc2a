"""Lambda: on a schedule, live sketches → windows, reports, alarms, events and metrics. Composition only."""

from __future__ import annotations

import os
from typing import Any

from onnxlet.monitor.watch.on_lambda import Context, handle, open_watch
from onnxlet.settings import Settings
from onnxlet.store import open_store

settings = Settings.from_environ(os.environ)
watch = open_watch(open_store(settings.store), settings)


def handler(event: dict[str, Any], context: Context | None) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """One run; the event says no more than that it is time."""
    return handle(watch, context)
