"""What clients may send, and how long they may take: limits and time-outs, which uvicorn has only for idle connections.

httptools parses and uvicorn does the rest of HTTP. This subclass counts what the parser reports and runs a timer while
a message is unfinished, so that it costs a request that arrives whole next to nothing.
"""

from __future__ import annotations

import asyncio
import re
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from typing import Any, NoReturn

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from onnxlet.local.limits import Limits
from onnxlet.values.headers import REQUEST_ID
from onnxlet.values.request_ids import request_id

REQUEST_LINE = 64
"""Bytes of a request line beside its URL: method, version and spaces."""
HEADER_SEPARATORS = 4
"""Bytes around a header's name and value: a colon, a space, and the end of the line."""
BODY_FRAMING = 1_000_000
"""Bytes that may surround a body: sizes and extensions of its chunks, and trailers."""
LINGER = 2.0
"""Seconds in which a client that was refused may go on sending, so that it gets to read why."""
UNREAD = 1_000_000
"""Bytes that it may send meanwhile."""

_BODY_HEADERS = (b"content-length", b"transfer-encoding")
_OVERRIDDEN = (
    "connection_made",
    "connection_lost",
    "data_received",
    "on_message_begin",
    "on_url",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "on_response_complete",
    "send_400_response",
)

if missing := [name for name in _OVERRIDDEN if not hasattr(HttpToolsProtocol, name)]:
    raise ImportError(
        f"the local server's limits rely on HttpToolsProtocol.{missing[0]}, "
        f"which uvicorn {uvicorn.__version__} lacks: install uvicorn 0.54"
    )


class _MessagePart(Enum):
    """What a connection is receiving."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection, held to limits."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own arguments
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._connection: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._stage = _MessagePart.NOTHING
        self._url_bytes = 0
        self._header_count = 0
        self._header_bytes = 0
        self._framing_bytes = 0
        self._unanswered = 0
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a first request, but not for ever."""
        super().connection_made(transport)
        self._connection = transport
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, refuse what is too large, and time what is unfinished."""
        if self._stage is not _MessagePart.NOTHING:
            self._framing_bytes += len(data)
        if self._refused:
            self._discard()
            return
        super().data_received(data)
        if not self._refused:
            self._check_framing()
            # also if bytes came that belong to no request, for uvicorn stops its own timer at each
            if self._timer is None and (self._stage is not _MessagePart.NOTHING or not self._unanswered):
                self._start_timer()

    def on_message_begin(self) -> None:
        """Start to count a request."""
        super().on_message_begin()
        self._enter(_MessagePart.HEAD)
        self._url_bytes = self._header_count = self._header_bytes = self._framing_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the bytes of the URL, of which this is a part."""
        self._url_bytes += len(url)
        if self._url_bytes > self._limits.url_bytes:
            self._reject(HTTPStatus.REQUEST_URI_TOO_LONG, f"a URL may have {self._limits.url_bytes:,} bytes")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header or a trailer."""
        limits = self._limits
        self._header_count += 1
        self._header_bytes += len(name) + len(value) + HEADER_SEPARATORS
        if self._header_count > limits.headers:
            self._reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request may have {limits.headers} headers")
        if self._header_bytes > limits.header_bytes:
            self._reject(*self._headers_too_large())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Owe an answer, and time the body."""
        if self.parser.should_upgrade() and any(name in _BODY_HEADERS for name, _ in self.headers):
            # httptools does not read the body of a request that asks for another protocol
            self._reject(
                HTTPStatus.BAD_REQUEST,
                "a request with a body cannot ask for another protocol: send it without 'Upgrade' (Java: HTTP_1_1)",
            )
        self._take_host_of_url()
        super().on_headers_complete()
        self._unanswered += 1
        self._enter(_MessagePart.BODY)
        self._framing_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Take what belongs to the body off the bytes around it."""
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: its answer may take as long as it takes."""
        self._enter(_MessagePart.NOTHING)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Close the connection after the last answer that was owed when a request was refused."""
        super().on_response_complete()
        self._unanswered -= 1
        if self._refused and self._unanswered <= 0:
            self._connection.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser gave up on, or what this class rejected while it was parsed."""
        self._refuse(*(self._refusal or (HTTPStatus.BAD_REQUEST, msg)))

    def _take_host_of_url(self) -> None:
        """Let the host of a whole URL, as proxies get it, stand for the Host header (RFC 9112, section 3.2.2)."""
        _, scheme_ends, rest = self.url.partition(b"://")
        if scheme_ends and not self.url.startswith(b"/"):
            host = re.split(rb"[/?#]", rest, maxsplit=1)[0]
            self.headers[:] = [(name, value) for name, value in self.headers if name != b"host"] + [(b"host", host)]

    def _check_framing(self) -> None:
        """Refuse a line that does not end, of which the parser reports nothing until it does."""
        limits = self._limits
        if self._stage is _MessagePart.HEAD:
            if self._framing_bytes > limits.url_bytes + limits.header_bytes + REQUEST_LINE:
                self._refuse(*self._headers_too_large())
        elif self._stage is _MessagePart.BODY and self._framing_bytes > BODY_FRAMING:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"chunk sizes and trailers may have {BODY_FRAMING:,} bytes: send larger chunks",
            )

    def _discard(self) -> None:
        if self._framing_bytes > UNREAD and not self._unanswered:
            self._connection.close()

    def _headers_too_large(self) -> tuple[HTTPStatus, str]:
        return (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"the headers of a request may have {self._limits.header_bytes:,} bytes",
        )

    def _enter(self, stage: _MessagePart) -> None:
        self._stage = stage
        self._stop_timer()

    def _start_timer(self) -> None:
        seconds = self._limits.body_seconds if self._stage is _MessagePart.BODY else self._limits.head_seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        if self._stage is _MessagePart.NOTHING:
            self._connection.close()
        elif self._stage is _MessagePart.HEAD:
            seconds = self._limits.head_seconds
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the headers did not arrive within {seconds:g} s")
        elif self._unanswered > 1:  # uvicorn reads no further until the requests before this one are answered
            self._start_timer()
        else:
            seconds = self._limits.body_seconds
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {seconds:g} s")

    def _reject(self, status: HTTPStatus, message: str) -> NoReturn:
        """Make the parser stop; uvicorn then calls `send_400_response`."""
        self._refusal = status, message
        raise ValueError(message)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Read no further, answer, and close the connection.

        Where requests before this one still wait for their answers, these are the last: the connection closes after
        them, and the refusal is not sent. A client that sends requests ahead has to expect that.
        """
        self._refused = True
        self._stop_timer()
        answered = self._stage is _MessagePart.BODY and not self._unanswered
        if self._stage is _MessagePart.BODY and self._unanswered:
            self._unanswered -= 1
        if self._unanswered:
            return
        if not answered:
            self._connection.write(_response(status, message))
        if self._stage is _MessagePart.BODY:
            self._connection.close()
        else:
            # a connection that is closed while bytes arrive is reset, and the client may never see the answer
            self._connection.write_eof()
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._connection.close)


def _response(status: HTTPStatus, message: str) -> bytes:
    body = orjson.dumps({"error": message})
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ndate: {formatdate(usegmt=True)}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
        f"{REQUEST_ID.lower()}: {request_id(None)}\r\n\r\n"
    )
    return head.encode() + body
