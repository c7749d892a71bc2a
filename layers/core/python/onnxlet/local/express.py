"""Express: predictions that are taken where their bytes arrive, without a scope, a task or messages between them.

Those cost as much as a small prediction. What goes this way is what leaves nothing to interpret: one whole request, in
one piece or in two, head and body, as most clients send it, in the plainest form of HTTP/1.1 (RFC 9112), on a
connection where nothing else is going on. All else, what is wrong included, is uvicorn's to read, every byte of it, so
that no two readers can take one request for two different ones.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from operator import attrgetter
from typing import NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from onnxlet.dataplane.messages import Request, Response

LONGEST_HEAD = 2048
"""Bytes of a head up to which it is read here."""
HEADS = 256
"""Heads remembered: clients that keep their connections send the same one again and again."""
HARMLESS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
)
"""Headers that may be remembered. Others can name a person or hold a secret."""

Take = Callable[[Request, Callable[[Response | None], None]], bool]

_END = b"\r\n\r\n"
_REQUEST_LINE = re.compile(r"POST (/[A-Za-z0-9][A-Za-z0-9._:/-]*) HTTP/1\.1")
_FIELD = re.compile(r"([A-Za-z0-9-]+): ?([!-~](?:[ -~]*[!-~])?)")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,6}")
_WEIGHTY = frozenset(
    {"connection", "content-encoding", "expect", "http2-settings", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that change how a message is read, or what becomes of its connection."""
_uvicorns = attrgetter(
    "cycle",
    "flow.write_paused",
    "on_response_complete",
    "parser.should_upgrade",
    "server_state.default_headers",
    "server_state.total_requests",
    "timeout_keep_alive",
    "timeout_keep_alive_handler",
    "timeout_keep_alive_task",
    "transport.is_closing",
)
"""What is used of uvicorn without being its interface."""


class Head(NamedTuple):
    """What comes before the body of a plain request. The headers are shared: they are there to be read."""

    path: str
    headers: dict[str, str]
    length: int


_heads: dict[bytes, Head] = {}


def read_head(head: bytes) -> Head | None:
    """What a head without its last two line ends says, or None if it is not in the plainest form."""
    known = _heads.get(head)
    if known is not None:
        return known
    found = _parsed(head)
    if found is not None and HARMLESS.issuperset(found.headers):
        if len(_heads) >= HEADS:
            _heads.clear()
        _heads[head] = found
    return found


def _parsed(head: bytes) -> Head | None:
    first, *lines = head.decode("latin-1").split("\r\n")
    called = _REQUEST_LINE.fullmatch(first)
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None or (name := field[1].lower()) in headers:
            return None
        if name in _WEIGHTY and (name, field[2].lower()) != ("connection", "keep-alive"):
            return None
        headers[name] = field[2]
    length = headers.get("content-length", "")
    if called is None or not _LENGTH.fullmatch(length):
        return None
    return Head(called[1], headers, int(length))


@lru_cache(maxsize=HEADS)
def _write_fields(fields: tuple[tuple[str, str], ...]) -> bytes:
    return "".join(f"{name.lower()}: {value}\r\n" for name, value in fields).encode("latin-1")


@lru_cache(maxsize=1)
def _write_defaults(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)


@lru_cache(maxsize=HEADS)
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()


class Express(HttpToolsProtocol):
    """uvicorn's protocol, and the short way past it. A subclass says who answers there."""

    take: Take
    """Takes a request, and whom to give its answer or to hand it back unanswered; or not, if that may take longer than
    others should wait.
    """
    answer_taken: Callable[[], None]
    """Answers at once what was taken."""

    _open = False
    """Whether this uvicorn has all that the short way needs."""
    _between = True
    """Whether the next byte that uvicorn's parser gets is a request's first."""
    _held = b""
    """A head that came without its body."""
    _awaiting = b""
    """A request that was taken and has no answer yet."""
    _answered_at = 0.0
    """The loop's time of the latest answer on the short way."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take a connection."""
        super().connection_made(transport)
        try:
            _uvicorns(self)
        except AttributeError:
            return
        self._open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection, and of what has begun on it."""
        self._held = b""
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Hear from the parser that a request begins."""
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Hear from the parser that a request was read to its end."""
        super().on_message_complete()
        self._between = not self.parser.should_upgrade()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, unless an answer has gone out since the time began to run, or a request has begun."""
        if self._awaiting:
            self.answer_taken()
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._held:
            self._pass_on()
        elif self._answering():  # it was handed back
            return
        elif left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Close the connection, after the request that has begun on it."""
        if self._awaiting:
            self.answer_taken()
        if self._held:
            self._pass_on()
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, or let uvicorn."""
        if self._awaiting:
            self.answer_taken()
        if self._held:
            data, self._held = self._held + data, b""
        if not (self._open and self._between and self._taken(data)):
            super().data_received(data)

    def _pass_on(self) -> None:
        held, self._held = self._held, b""
        super().data_received(held)

    def _taken(self, data: bytes) -> bool:
        """Whether `data` is a request that was taken, or the head of what may be one."""
        end = data.find(_END, 0, LONGEST_HEAD)
        head = read_head(data[:end]) if end > 0 else None
        if head is None or self._busy():
            return False
        body = data[end + len(_END) :]
        if head.length and not body:
            self._held = data
            return True
        if len(body) == head.length and self.take(Request("POST", head.path, "", head.headers, body), self._answer):
            self._awaiting = data
        return bool(self._awaiting)

    def _answer(self, response: Response | None) -> None:
        asked, self._awaiting = self._awaiting, b""
        if self.transport.is_closing():
            return
        if response is None:
            super().data_received(asked)
            return
        try:
            self._write(response)
        except Exception:  # nobody else would close the connection, and the next answer would be taken for this one
            self.transport.abort()
            raise

    def _write(self, response: Response) -> None:
        self.transport.write(
            b"".join(
                (
                    _status_line(response.status),
                    _write_defaults(tuple(self.server_state.default_headers)),
                    _write_fields(tuple(response.headers.items())),
                    b"content-length: %d\r\n\r\n" % len(response.body),
                    response.body,
                )
            )
        )
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.on_response_complete()
        else:  # stays: to set another one every time would cost a tenth of the answer
            self.server_state.total_requests += 1

    def _busy(self) -> bool:
        """Whether an earlier request has no answer yet, or its answer was not fetched, or it was the last."""
        return self._answering() or self.flow.write_paused or self.transport.is_closing()

    def _answering(self) -> bool:
        """Whether a request is on uvicorn's way."""
        return self.cycle is not None and not self.cycle.response_complete


def express(take: Take, answer_taken: Callable[[], None]) -> type[Express]:
    """The protocol of a server on whose short way `take` and `answer_taken` answer."""
    return type("Express", (Express,), {"take": staticmethod(take), "answer_taken": staticmethod(answer_taken)})
