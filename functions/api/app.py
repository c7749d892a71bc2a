"""The control plane's Lambda function: the registry over HTTP."""

import asyncio
import os
from typing import Any

from mangum import Mangum

from onnxlet.controlplane.app import create_app
from onnxlet.controlplane.gateway import TEXT, refusal
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import open_store

_settings = Settings.from_environ(os.environ)
_own_api = "" if "AWS_SAM_LOCAL" in os.environ else _settings.api_id  # SAM CLI's events name an API that is not there
_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)
_answer = Mangum(create_app(_settings, Registry(open_store(_settings.store))), lifespan="off", text_mime_types=TEXT)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's context, or none at all
    """Answer an HTTP event. Mangum wants a current event loop, which others in the process may have taken away."""
    asyncio.set_event_loop(_loop)
    return refusal(event, _own_api) or _answer(event, context)
