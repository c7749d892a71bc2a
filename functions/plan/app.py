"""Lambda: what is to be scanned and scored of a large file, for the state machine. Composition only."""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported

from typing import Any

from onnxlet.batch.large.steps import Steps
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store

settings = Settings.from_environ(os.environ)
store = open_store(settings.store)
steps = Steps(store, Predictor(store, settings), settings)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One step: a file opened, a stretch of it scanned, or its sections planned."""
    return steps.take(event, context)
