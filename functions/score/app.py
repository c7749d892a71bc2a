"""Lambda: files that land in `batch/in/` and sections of large ones → predictions. Composition only."""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported

from typing import Any

from onnxlet.batch.answering import Scoring
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.telemetry.on_lambda import observe_function

settings = Settings.from_environ(os.environ)
store = open_store(settings.store)
telemetry, answered = observe_function(settings, os.environ)
scoring = Scoring(store, Predictor(store, settings, telemetry=telemetry, layout=True), settings, answered)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One event: an S3 object written, as EventBridge, SQS or S3 tells it, or a section of a large one to score."""
    return scoring.answer(event, context)
