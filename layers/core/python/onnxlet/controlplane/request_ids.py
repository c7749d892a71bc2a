"""Request ids of the control plane: every answer carries one, as predictions do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from onnxlet.values.headers import REQUEST_ID
from onnxlet.values.request_ids import request_id

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
_NAME = REQUEST_ID.lower().encode()


def identified(scope: MutableMapping[str, Any], send: Send) -> Send:
    """A `send` that gives the answer to the request of `scope` its id: the caller's, Lambda's, or a new one."""
    sent = next((value.decode("latin-1") for name, value in scope.get("headers", ()) if name == _NAME), None)
    known = request_id(sent, getattr(scope.get("aws.context"), "aws_request_id", "")).encode()

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (_NAME, known)]
        await send(message)

    return sending
