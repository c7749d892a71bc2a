"""Limits and time-outs of the local server: clients that send too much, too slowly, or never an end."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from servers import PREDICT, ROW, TIMEOUT, Server, exchange, running

pytestmark = pytest.mark.slow

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"
HASTY = {"head_seconds": 1, "body_seconds": 1}
MB = 1_000_000


@pytest.fixture(scope="module")
def server(served_settings: dict[str, str | float]) -> Iterator[Server]:
    """A server with the limits that everybody gets."""
    with running(served_settings) as server:
        yield server


@pytest.fixture(scope="module")
def hasty(served_settings: dict[str, str | float]) -> Iterator[Server]:
    """A server that waits a second for heads and another for bodies."""
    with running(served_settings, limits=HASTY) as server:
        yield server


def flood(server: Server, head: bytes, piece: bytes) -> tuple[int, bytes]:
    """Send `head`, then `piece` again and again until the server ends that: bytes sent, bytes received."""
    sent = 0
    received = b""
    with socket.create_connection(server.address, TIMEOUT) as connection:
        connection.sendall(head)
        connection.settimeout(5)
        try:
            while sent < 400 * MB:
                sent += connection.send(piece)
        except OSError:
            pass
        connection.settimeout(TIMEOUT)
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return sent, received


def trickle(server: Server, head: bytes, piece: bytes) -> bytes:
    """What the server sends while `piece` follows `head` again and again, slowly."""
    deadline = time.monotonic() + TIMEOUT
    received = b""
    with socket.create_connection(server.address, TIMEOUT) as connection:
        connection.sendall(head)
        connection.settimeout(0.05)
        while time.monotonic() < deadline:
            try:
                connection.sendall(piece)
                chunk = connection.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                return received
            if not chunk:
                return received
            received += chunk
    raise AssertionError(f"the server waits still, after {received!r}")


def memory(server: Server) -> int:
    """The most bytes that the server's process has held so far."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) * 1024


@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 431)])
def test_so_many_headers_are_taken(server: Server, count: int, status: int) -> None:
    more = b"".join(b"X-%d: y\r\n" % number for number in range(count - 2))
    assert exchange(server, LIVE + more + CLOSE).startswith(b"HTTP/1.1 %d" % status)


@pytest.mark.parametrize(("size", "status"), [(30_000, 200), (33_000, 431)])
@pytest.mark.parametrize("lines", [1, 10])
def test_so_many_bytes_of_headers_are_taken(server: Server, size: int, lines: int, status: int) -> None:
    more = b"".join(b"X-%d: %s\r\n" % (number, b"y" * (size // lines)) for number in range(lines))
    assert exchange(server, LIVE + more + CLOSE).startswith(b"HTTP/1.1 %d" % status)


@pytest.mark.parametrize(("size", "status"), [(8_000, 200), (9_000, 414)])
def test_so_many_bytes_of_a_url_are_taken(server: Server, size: int, status: int) -> None:
    head = b"GET /v2/health/live?" + b"x" * size + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE
    assert exchange(server, head).startswith(b"HTTP/1.1 %d" % status)


def test_a_refusal_says_what_may_be_sent(server: Server) -> None:
    answer = requests.get(server.url + "/v1/models/tiny", headers={"X-Long": "y" * 40_000}, timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["Connection"]) == (431, "close")
    assert answer.json() == {"error": "the headers of a request may have 32,768 bytes"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (LIVE, 408),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE, 414),
        (LIVE + b"X-Long: " + b"y" * 40_000 + b"\r\n" + CLOSE, 431),
    ],
)
def test_each_refusal_has_a_request_id_of_its_own(hasty: Server, sent: bytes, status: int) -> None:
    ids = set()
    for _ in range(2):
        head = exchange(hasty, sent).partition(b"\r\n\r\n")[0].decode()
        assert head.startswith(f"HTTP/1.1 {status} ")
        ids |= set(re.findall(r"(?i)^x-onnxlet-request-id: ([0-9a-f]{32})\r?$", head, re.MULTILINE))
    assert len(ids) == 2


def test_a_body_behind_a_wish_for_http_2_is_refused_with_what_to_do(server: Server) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    post = b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
    refused = exchange(server, post + upgrade + b"\r\n{}")
    assert refused.startswith(b"HTTP/1.1 400")
    assert b"send it without 'Upgrade'" in refused
    assert exchange(server, LIVE + upgrade + b"\r\n", LIVE + CLOSE).count(b"HTTP/1.1 200") == 2


def test_a_uvicorn_that_the_limits_cannot_rely_on_is_refused() -> None:
    program = (
        "from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as protocol\n"
        "del protocol.on_header\n"
        "import onnxlet.local.worker"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert re.search(r"ImportError: .* rely on HttpToolsProtocol.on_header, which uvicorn [\d.]+ lacks", ended.stderr)


@pytest.mark.parametrize(
    ("head", "piece", "status"),
    [
        (LIVE, b"X-Name: value\r\n" * 1000, b"431"),
        (LIVE + b"X-Name: ", b"y" * 64_000, b"431"),
        (LIVE, b"y" * 64_000, b"431"),
        (b"GET /", b"y" * 64_000, b"414"),
        (CHUNKED + b"1;", b"y" * 64_000, b"431"),
        (CHUNKED + b"0\r\nX-Trailer: ", b"y" * 64_000, b"431"),
        (CHUNKED + b"0\r\n", b"X-Name: value\r\n" * 1000, b"431"),
    ],
    ids=["headers", "header value", "header name", "url", "chunk extension", "trailer", "trailers"],
)
def test_what_does_not_end_is_cut_off_and_not_kept(server: Server, head: bytes, piece: bytes, status: bytes) -> None:
    before = memory(server)
    sent, received = flood(server, head, piece)
    assert sent < 400 * MB
    assert received.startswith(b"HTTP/1.1 " + status) or not received  # the answer can be lost on a client that floods
    assert memory(server) < before + 30 * MB
    assert requests.get(server.url + "/v2/health/live", timeout=TIMEOUT).status_code == 200


@pytest.mark.parametrize("start", [b"G", LIVE, LIVE + b"X-Name: "], ids=["method", "headers", "value"])
def test_a_head_that_trickles_in_is_408(hasty: Server, start: bytes) -> None:
    piece = b"ET" if start == b"G" else b"X: y\r\n"
    got = trickle(hasty, start, piece) if start != b"G" else exchange(hasty, start)
    assert got.startswith(b"HTTP/1.1 408")
    assert b"headers did not arrive within 1 s" in got


def test_a_head_of_which_half_was_sent_is_408_and_its_connection_closed(hasty: Server) -> None:
    for sent in (LIVE, LIVE + b"X-Name", b"GET /v2/health/live HTTP/1.1"):
        assert exchange(hasty, sent).startswith(b"HTTP/1.1 408")


def test_a_megabyte_of_headers_is_431_however_it_is_sent(server: Server) -> None:
    for more in (b"X-Long: " + b"y" * MB + b"\r\n", b"".join(b"X-%d: y\r\n" % number for number in range(MB // 9))):
        with socket.create_connection(server.address, TIMEOUT) as connection:
            try:
                connection.sendall(LIVE + more + CLOSE)
            except ConnectionError:  # it reads no more than it needs to say no
                continue
            assert connection.recv(65536).startswith(b"HTTP/1.1 431")


def test_a_body_that_trickles_in_is_408(hasty: Server) -> None:
    head = b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    for start, piece in ((head, b" "), (CHUNKED, b"1\r\n \r\n")):
        got = trickle(hasty, start, piece)
        assert got.startswith(b"HTTP/1.1 408")
        assert b"body did not arrive within 1 s" in got


@pytest.mark.parametrize("path", [PREDICT, "/registry/models"])
def test_a_body_that_goes_on_after_its_refusal_ends_with_the_connection(hasty: Server, path: str) -> None:
    requests.get(hasty.url + "/registry/models", timeout=TIMEOUT)  # the first loads the control plane
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    got = trickle(hasty, head + b"Content-Length: 100000000\r\n\r\n" + b" " * 6_000_001, b" ")
    assert got.startswith(b"HTTP/1.1 413")
    assert got.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_on_which_no_request_begins_is_closed(hasty: Server, sent: bytes) -> None:
    assert exchange(hasty, sent) == b""


def test_an_answer_may_take_longer_than_head_and_body(hasty: Server) -> None:
    rounds, seconds = 500, 0.0
    while seconds <= 1:  # however quick this machine is just now
        rounds *= 2
        started = time.monotonic()
        answer = requests.post(hasty.url + "/v1/models/slow:predict", json={"instances": [rounds]}, timeout=60)
        seconds = time.monotonic() - started
        assert answer.status_code == 200


def test_a_connection_may_be_idle_between_requests(hasty: Server) -> None:
    with socket.create_connection(hasty.address, TIMEOUT) as connection:
        for _ in range(2):
            connection.sendall(LIVE + b"\r\n")
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200")
            time.sleep(1.5)


def test_a_request_in_pieces_is_timed_by_its_own_beginning(hasty: Server) -> None:
    body = json.dumps(ROW).encode()
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (PREDICT.encode(), len(body))
    with socket.create_connection(hasty.address, TIMEOUT) as connection:
        for _ in range(8):
            for part in (head[:20], head[20:], body[:5], body[5:]):
                connection.sendall(part)
                time.sleep(0.05)
            received = b""
            while not received.endswith(b"]}"):
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "behind",
    [LIVE, LIVE + b"X-Long: " + b"y" * 40_000 + b"\r\n\r\n", b"nonsense\r\n\r\n"],
    ids=["slow", "large", "malformed"],
)
def test_what_is_refused_does_not_cut_off_the_answer_before_it(hasty: Server, behind: bytes) -> None:
    body = json.dumps({"instances": [4000]}).encode()
    slow = b"POST /v1/models/slow:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    got = exchange(hasty, slow + behind)
    head, answer, refusal = got.partition(b'{"predictions":[4000.0]}')
    assert head.startswith(b"HTTP/1.1 200")
    assert answer
    assert refusal.startswith(b"HTTP/1.1 4") or not refusal  # it is said to those whose answer was sent already


def test_a_body_sent_ahead_is_not_late_because_of_the_answer_before_it(hasty: Server) -> None:
    body = json.dumps({"instances": [4000]}).encode()
    slow = b"POST /v1/models/slow:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    large = b'{"instances": [1' + b" " * 1_000_000 + b"]}"
    next_one = (
        b"POST /v1/models/slow:predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    )
    got = exchange(hasty, slow + body + next_one % len(large) + large)
    assert got.count(b"HTTP/1.1 200") == 2
    assert got.endswith(b'{"predictions":[1.0]}')
