"""The predict function: answers HTTP events and direct invocations with models from the store."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.lambda_events import Event, handle
from onnxlet.monitor import row_watchers
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.telemetry.on_lambda import observe_function

settings = Settings.from_environ(os.environ)
store = open_store(settings.store)
telemetry, answered = observe_function(settings, os.environ, *row_watchers(store, settings))
predictor = Predictor(store, settings, telemetry=telemetry)
predictor.preload()
dataplane = DataPlane(predictor)


def handler(event: Event, context: object) -> dict[str, object]:
    """Lambda's entry point."""
    return handle(dataplane, event, context, settings.rest_binary, answered)
