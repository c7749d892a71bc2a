"""The short way of quick predictions: what may go it, and that nobody can tell who answered but by how soon."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter

import pytest
import uvicorn

from onnxlet.dataplane.messages import Request, Response
from onnxlet.local import express as module
from onnxlet.local.asgi import Receive, Scope, Send, read_body, send_response
from onnxlet.local.express import LONGEST_HEAD, express, read_head

TIMEOUT = 20
KEEP_ALIVE = 1
PIECE = 0.05
"""Seconds between two pieces, so that they arrive as two."""
BIG = 2_000_000

SILENCE = 0.3
"""Seconds after which nothing more is to come."""

Address = tuple[str, int]


class Short:
    """Answers on the short way, and says so; not for paths that take long, or turn out to."""

    def __init__(self) -> None:
        self._taken: list[tuple[Request, Callable[[Response | None], None]]] = []

    def take(self, request: Request, deliver: Callable[[Response | None], None]) -> bool:
        """Take a request for the loop's next turn, or for as long as nobody else wants it answered."""
        if request.path.startswith("/slow"):
            return False
        if not request.path.endswith("-late"):
            asyncio.get_running_loop().call_soon(self.answer_taken)
        self._taken.append((request, deliver))
        return True

    def answer_taken(self) -> None:
        """Answer what was taken."""
        taken, self._taken = self._taken, []
        for request, deliver in taken:
            size = BIG if request.path == "/big" else 0
            body = b"<short %b %b>" % (request.path.encode(), request.body) + b" " * size
            kept = "\u2713" if request.path == "/unwritable" else "Yes"
            with contextlib.suppress(UnicodeEncodeError):
                deliver(None if request.path.startswith("/back") else Response(200, body, {"X-Kept": kept}))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer on the long way, and say so; at /slow-early before the body is there."""
    if scope["type"] != "http":
        return
    path = scope["path"].encode()
    body = None if path == b"/slow-early" else await read_body(receive, 1000)
    if path == b"/slow":
        await asyncio.sleep(2 * PIECE)
    if path.startswith(b"/back-slow"):
        await asyncio.sleep(KEEP_ALIVE * 0.6)
    await send_response(send, Response(200, b"<long %b %b>" % (path, body or b""), {"X-Kept": "Yes"}), scope["method"])


@contextmanager
def served() -> Iterator[Address]:
    """Where a server with both ways listens, while it does."""
    short = Short()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            application,
            http=express(short.take, short.answer_taken),
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join(TIMEOUT)


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """Where a server with both ways listens."""
    with served() as listening:
        yield listening


def exchange(address: Address, *pieces: bytes) -> bytes:
    """What the server sends, until it has nothing more to say, if it gets these pieces one after the other."""
    received = b""
    with socket.create_connection(address, TIMEOUT) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(PIECE)
        while chunk := _receive(connection):
            received += chunk
            connection.settimeout(SILENCE)
    return received


def converse(address: Address, *pieces: bytes) -> list[bytes]:
    """The bodies of the answers, if every piece is whole requests and waits for the answers to the one before it."""
    received = b""
    awaited = 0
    with socket.create_connection(address, TIMEOUT) as connection:
        for piece in pieces:
            connection.sendall(piece)
            awaited += piece.count(b"POST")
            while received.count(b">") < awaited:
                chunk = connection.recv(65536)
                assert chunk, received
                received += chunk
    return bodies(received)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except TimeoutError:
        return b""


def post(path: str, body: bytes = b"{}", *fields: str, length: int | None = None) -> bytes:
    """A plain request, and more fields."""
    said = f"Content-Length: {len(body) if length is None else length}"
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: x", said, *fields, "", "")).encode("latin-1") + body


def bodies(answer: bytes) -> list[bytes]:
    """The bodies of answers in a row."""
    return [part.split(b">")[0] for part in answer.split(b"<")[1:]]


def test_a_plain_request_goes_the_short_way_again_and_again(address: Address) -> None:
    assert converse(address, post("/a", b"1"), post("/b", b"2"), post("/a", b"")) == [
        b"short /a 1",
        b"short /b 2",
        b"short /a ",
    ]


def test_what_is_handed_back_is_answered_by_uvicorn_in_its_turn(address: Address) -> None:
    assert converse(address, post("/back", b"1"), post("/a"), post("/back") + post("/b"), post("/back-slow")) == [
        b"long /back 1",
        b"short /a {}",
        b"long /back {}",
        b"long /b {}",
        b"long /back-slow {}",
    ]


@pytest.mark.parametrize("path", ["/back-slow", "/back-slow-late"])
def test_what_is_handed_back_outlives_the_time_of_idle_connections(address: Address, path: str) -> None:
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall(post("/a"))
        assert b"short" in connection.recv(65536)
        time.sleep(KEEP_ALIVE * 0.9)
        connection.sendall(post(path))
        assert b"<long %b {}>" % path.encode() in connection.recv(65536)


def test_an_answer_that_cannot_be_written_ends_its_connection(address: Address) -> None:
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall(post("/unwritable"))
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(65536) == b""
    assert b"short" in exchange(address, post("/a"))


def test_both_ways_write_the_same(address: Address) -> None:
    short = exchange(address, post("/a", b"1")).split(b"\r\n")
    long = exchange(address, post("/a", b"12", "X-Empty:")).split(b"\r\n")
    assert short[1].startswith(b"date: ")
    assert short[2:] == [b"x-kept: Yes", b"content-length: 12", b"", b"<short /a 1>"]
    assert long[2:] == [b"x-kept: Yes", b"content-length: 12", b"", b"<long /a 12>"]
    assert short[0] == long[0]


def test_what_takes_long_goes_the_long_way_and_is_still_answered_in_order(address: Address) -> None:
    assert bodies(exchange(address, post("/slow"), post("/a"))) == [b"long /slow {}", b"long /a {}"]


def test_both_ways_take_turns_on_one_connection(address: Address) -> None:
    ahead = post("/a", b"1") + post("/b", b"2")
    assert converse(address, post("/a"), ahead, post("/c"), post("/slow-not"), post("/d")) == [
        b"short /a {}",
        b"long /a 1",
        b"long /b 2",
        b"short /c {}",
        b"long /slow-not {}",
        b"short /d {}",
    ]


@pytest.mark.parametrize("at", [1, 10, 30, -3])
def test_a_request_in_pieces_goes_the_long_way(address: Address, at: int) -> None:
    whole = post("/a", b"12345")
    assert bodies(exchange(address, whole[:at], whole[at:])) == [b"long /a 12345"]


@pytest.mark.parametrize("begun", ["POST /a HTTP/1.1\r\nX: ", "POST /a HTTP/1.1\r\nX: y\r\n Folded: "])
def test_a_piece_of_a_head_that_looks_like_a_request_is_none(address: Address, begun: str) -> None:
    got = exchange(address, begun.encode(), post("/b"))
    assert b"short" not in got
    assert b"/b" not in got


@pytest.mark.parametrize("path", ["/a", "/slow-early"])
def test_a_piece_of_a_body_that_looks_like_a_request_is_none(address: Address, path: str) -> None:
    inner = post("/b")
    got = exchange(address, post(path, b"", length=len(inner) + 2), inner, b"..", post("/c"))
    assert [body.split()[:2] for body in bodies(got)] == [[b"long", path.encode()], [b"short", b"/c"]]


def test_what_comes_after_a_body_is_the_next_request(address: Address) -> None:
    got = exchange(address, post("/a", b"12345", length=2))
    assert bodies(got) == [b"long /a 12"] or got.startswith(b"HTTP/1.1 400")
    assert b"HTTP/1.1 400" in got


@pytest.mark.parametrize(
    "fields",
    [
        ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding : chunked",),
        ("Content-Length: 2",),
        ("Content-Length: 3",),
        ("X: 1", "x: 2"),
        ("Expect: 100-continue",),
        ("Upgrade: websocket", "Connection: Upgrade"),
        ("Connection: close",),
        ("Connection: keep-alive, close",),
        ("Content-Encoding: gzip",),
        ("X: one", " two"),
        ("X: one", "\ttwo"),
        ("X : one",),
        ("X:\tone",),
        ("X: one ",),
        ("X: \xe9",),
        ("X: one\n",),
        ("X: one\nContent-Length: 0",),
        ("X: one\rContent-Length: 0",),
        ("X: \x00",),
        ("X",),
        ("X: " + LONGEST_HEAD * "x",),
    ],
)
def test_whatever_could_be_read_in_two_ways_is_left_to_uvicorn(address: Address, fields: tuple[str, ...]) -> None:
    got = exchange(address, post("/a", b"{}", *fields))
    assert got.startswith(b"HTTP/1.1 ")
    assert b"short" not in got


@pytest.mark.parametrize(
    "line",
    [
        "GET /a HTTP/1.1",
        "post /a HTTP/1.1",
        "POST /a HTTP/1.0",
        "POST /a HTTP/1.1 ",
        "POST  /a HTTP/1.1",
        " POST /a HTTP/1.1",
        "POST /%61 HTTP/1.1",
        "POST /a?b HTTP/1.1",
        "POST /a#b HTTP/1.1",
        "POST //a HTTP/1.1",
        "POST http://x/a HTTP/1.1",
        "POST * HTTP/1.1",
        "POST a HTTP/1.1",
        "POST /\xe9 HTTP/1.1",
        "CONNECT x:1 HTTP/1.1",
    ],
)
def test_another_request_line_is_left_to_uvicorn(address: Address, line: str) -> None:
    got = exchange(address, post("/a").replace(b"POST /a HTTP/1.1", line.encode("latin-1")))
    assert got.startswith(b"HTTP/1.1 ")
    assert b"short" not in got


@pytest.mark.parametrize("length", ["", "+2", "-2", "02", "2, 2", "0x2", "2 ", "\u00b2", "99999999"])
def test_a_length_that_is_not_plain_is_left_to_uvicorn(length: str) -> None:
    assert read_head(f"POST /a HTTP/1.1\r\nContent-Length: {length}".encode("latin-1")) is None
    assert read_head(b"POST /a HTTP/1.1\r\nHost: x") is None


def test_common_clients_are_understood() -> None:
    head = read_head(
        b"POST /v1/models/a_b.c-d/labels/x:predict HTTP/1.1\r\nHost: x:8080\r\nUser-Agent: python-requests/2.32\r\n"
        b"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\nContent-Length: 27\r\n"
        b'Content-Type: application/json\r\nX-Trace:a="b"; c'
    )
    assert head is not None
    assert head.path == "/v1/models/a_b.c-d/labels/x:predict"
    assert head.length == 27
    assert head.headers["accept-encoding"] == "gzip, deflate"
    assert head.headers["x-trace"] == 'a="b"; c'


def test_an_idle_connection_is_closed_in_time_and_no_earlier(address: Address) -> None:
    with socket.create_connection(address, TIMEOUT) as connection:
        for _ in range(3):
            connection.sendall(post("/a"))
            assert b"short" in connection.recv(65536)
            answered = time.monotonic()
            time.sleep(KEEP_ALIVE * 0.6)
        assert connection.recv(65536) == b""
        assert KEEP_ALIVE * 0.9 < time.monotonic() - answered < KEEP_ALIVE * 4


def test_a_client_that_does_not_fetch_its_answers_is_not_given_more(address: Address) -> None:
    with socket.create_connection(address, TIMEOUT) as connection:
        for _ in range(10):
            connection.sendall(post("/big"))
            time.sleep(PIECE)
        received = b""
        while received.count(b"HTTP/1.1 200") < 10:
            received += connection.recv(1 << 20)
        assert 0 < received.count(b"<short") < 10


def test_heads_are_remembered_unless_they_could_name_a_person_or_hold_a_secret() -> None:
    plain = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3"
    assert read_head(plain) is read_head(plain)
    for header in (b"Authorization: Bearer abc", b"Cookie: a=b", b"X-Onnxlet-Routing-Key: patient-7"):
        head = read_head(plain + b"\r\n" + header)
        assert head is not None
        assert head is not read_head(plain + b"\r\n" + header)


def test_a_body_may_come_after_its_head(address: Address) -> None:
    head, body = post("/a", b""" {"instances": []}""").split(b"\r\n\r\n")
    head += b"\r\n\r\n"
    assert bodies(exchange(address, head, body, head, body)) == [b"short /a %b" % body] * 2


def test_a_body_that_comes_in_pieces_after_its_head_is_left_to_uvicorn(address: Address) -> None:
    head, body = post("/a", b"abcd").split(b"\r\n\r\n")
    assert bodies(exchange(address, head + b"\r\n\r\n", body[:1], body[1:])) == [b"long /a abcd"]


def test_what_follows_a_late_body_is_another_request(address: Address) -> None:
    head, body = post("/a", b"abcd").split(b"\r\n\r\n")
    got = exchange(address, head + b"\r\n\r\n", body + post("/b", b"x"))
    assert bodies(got) == [b"long /a abcd", b"long /b x"]


def test_a_request_that_has_begun_outlives_the_time_of_idle_connections(address: Address) -> None:
    head, body = post("/a", b"abcd").split(b"\r\n\r\n")
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall(post("/first"))
        assert b"short" in connection.recv(65536)
        connection.sendall(head + b"\r\n\r\n")
        time.sleep(KEEP_ALIVE * 2.5)
        connection.sendall(body)
        assert b"<long /a abcd>" in connection.recv(65536)


def test_a_client_that_breaks_off_after_the_head_does_no_harm(
    address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    connection = socket.create_connection(address, TIMEOUT)
    connection.sendall(post("/a"))
    assert b"short" in connection.recv(65536)
    connection.sendall(post("/a", b"abcd").split(b"abcd")[0])
    time.sleep(PIECE)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
    connection.close()
    time.sleep(KEEP_ALIVE * 1.5)
    assert not caplog.records
    assert b"short" in exchange(address, post("/a"))


def test_a_request_that_has_begun_outlives_the_servers_end() -> None:
    head, body = post("/a", b"abcd").split(b"\r\n\r\n")
    with served() as address:
        connection = socket.create_connection(address, TIMEOUT)
        connection.sendall(head + b"\r\n\r\n")
        time.sleep(PIECE)
        late = threading.Timer(10 * PIECE, connection.sendall, (body,))
        late.start()
    with connection:
        assert b"<long /a abcd>" in connection.recv(65536)


def test_where_uvicorn_has_other_insides_it_answers_everything_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_uvicorns", attrgetter("renamed_in_a_later_version"))
    with served() as address:
        assert b"<long /a {}>" in exchange(address, post("/a"))
