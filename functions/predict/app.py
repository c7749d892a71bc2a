"""The predict function: answers HTTP events and direct invocations with models from the store."""

from onnxlet.starting import starting

with starting() as environ:
    from onnxlet.dataplane.dispatch import DataPlane
    from onnxlet.dataplane.lambda_events import Event, handle
    from onnxlet.monitor import row_watchers
    from onnxlet.serving.predictor import Predictor
    from onnxlet.settings import Settings
    from onnxlet.store import open_store
    from onnxlet.telemetry.on_lambda import observe_function

    settings = Settings.from_environ(environ)
    store = open_store(settings.store)
    telemetry, answered = observe_function(settings, environ, *row_watchers(store, settings))
    predictor = Predictor(store, settings, telemetry=telemetry)
    predictor.preload()
    dataplane = DataPlane(predictor)


def handler(event: Event, context: object) -> dict[str, object]:
    """Lambda's entry point."""
    return handle(dataplane, event, context, settings.rest_binary, answered)
