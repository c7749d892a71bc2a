"""HTTP messages as the doors hand them around: what a Lambda event or a local connection is read into."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from onnxlet.errors import OnnxletError
    from onnxlet.serving.cancellation import Cancellation
    from onnxlet.serving.predictor import Served
    from onnxlet.telemetry.recording import Prediction

JSON = "application/json"
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))
"""Bytes that no text has."""


class Request(msgspec.Struct, gc=False):
    """One HTTP request. `path` is percent-decoded once, `query` is as it was sent; `headers` have lower-case names;
    `body` is as it came, still compressed if `content-encoding` says so, but never base64.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""
    cancellation: Cancellation | None = None
    """Ends the model's run for a request that nobody waits for any more."""
    id: str = ""
    """What its answer and its lines in logs are found by."""
    trace: str = ""
    """Its trace context, as W3C's `traceparent`; empty if it has none."""
    model: str = ""
    """The name of the model that it asks, once that is known, and so with what follows."""
    served: Served | None = None
    began: float = msgspec.field(default_factory=monotonic)
    """When it came, in seconds of `time.monotonic`."""
    prediction: Prediction | None = None


class Response(msgspec.Struct):
    """One HTTP answer. Header names are written as they shall be sent.

    The body is bytes, or a stream: an iterator of chunks, each sent as soon as it is made. An iterator with `close` (a
    generator) is closed when nobody reads on.
    """

    status: int
    body: bytes | Iterator[bytes] = b""
    headers: dict[str, str] = {}
    error: OnnxletError | None = None
    """What it refuses with; None if it does not refuse."""

    def drop_body(self) -> None:
        """Send no body; whoever makes a stream learns that nobody reads it."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()
        self.body = b""

    def text(self) -> str | None:
        """The body as text; None if it is a stream, or bytes that are no UTF-8 or have control characters."""
        body = self.body
        if not isinstance(body, bytes):
            return None
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return None
        # JSON escapes them
        if self.headers.get("Content-Type") != JSON and len(body.translate(None, _CONTROLS)) < len(body):
            return None
        return text
