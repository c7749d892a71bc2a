"""The control plane's Lambda function: the registry over HTTP."""

import asyncio
import os
from typing import Any

from mangum.adapter import DEFAULT_TEXT_MIME_TYPES, Mangum

from onnxlet.controlplane.app import create_app
from onnxlet.controlplane.openapi import PROBLEM
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import open_store

_settings = Settings.from_environ(os.environ)
_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)
_app = create_app(_settings, Registry(open_store(_settings.store)))
_answer = Mangum(_app, lifespan="off", text_mime_types=[*DEFAULT_TEXT_MIME_TYPES, PROBLEM])


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's context, or none at all
    """Answer an HTTP event. Mangum wants a current event loop, which others in the process may have taken away."""
    asyncio.set_event_loop(_loop)
    return _answer(event, context)
