"""The Asynchronous Server Gateway Interface, version 3: its types, and HTTP messages read from it and written to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from onnxlet.dataplane.messages import Request, Response
from onnxlet.values.headers import REQUEST_ID, TRACE
from onnxlet.values.request_ids import request_id, trace_context

_REQUEST_ID = REQUEST_ID.lower()
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The body of a request; only its first `limit` + 1 bytes if it has more; None if the client left meanwhile."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message.get("body", b""))[: limit + 1]
    body = bytearray()
    while message["type"] == "http.request":
        body += message.get("body", b"")
        if len(body) > limit or not message.get("more_body"):
            return bytes(body[: limit + 1])
        message = await receive()
    return None


def to_request(scope: Scope, body: bytes) -> Request:
    """The request that an HTTP scope describes."""
    pairs: list[tuple[bytes, bytes]] = scope["headers"]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
    if len(headers) < len(pairs):
        headers = _joined(pairs)
    request = Request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, body)
    request.id = request_id(headers.get(_REQUEST_ID))
    if TRACE in headers:
        request.trace = trace_context(headers[TRACE])
    return request


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers of which some stand more than once: their values in one, in their order."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return {name: ", ".join(several) for name, several in values.items()}


def identify(scope: Scope, response: Response) -> Response:
    """The answer with the id of the request."""
    sent = next((value.decode("latin-1") for name, value in scope["headers"] if name == _REQUEST_ID.encode()), None)
    response.headers[REQUEST_ID] = request_id(sent)
    return response


async def send_response(send: Send, receive: Receive, response: Response, method: str) -> None:
    """Send the answer to a request by `method`: whole, or chunk by chunk as a stream makes them.

    One to HEAD leaves open how long its body would have been. Raises what a stream raises: the server then closes the
    connection, so that the client sees that something is missing.
    """
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    body = response.body
    if isinstance(body, bytes) and method != "HEAD":
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": body})
    else:
        await _send_chunks(send, receive, response, body)


async def _send_chunks(send: Send, receive: Receive, response: Response, chunks: Iterator[bytes]) -> None:
    """Send what a stream makes, in a thread beside the event loop, until it ends or the client leaves."""
    loop = asyncio.get_running_loop()
    left = asyncio.ensure_future(receive())
    try:
        while not left.done():
            chunk = await loop.run_in_executor(None, next, chunks, None)
            if chunk is None:
                break
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        left.cancel()
        await loop.run_in_executor(None, response.drop_body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body which was read already, and then what comes after it."""
    pending = [body]

    async def again() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return again
