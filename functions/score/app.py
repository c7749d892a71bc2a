"""Lambda: files that land in `batch/in/` → predictions in `batch/out/`. Composition only."""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported

from typing import Any

from onnxlet.batch.events import handle
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store

settings = Settings.from_environ(os.environ)
store = open_store(settings.store)
predictor = Predictor(store, settings)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """One event: an S3 object written, as EventBridge, SQS or S3 tells it."""
    return handle(store, predictor, event)
