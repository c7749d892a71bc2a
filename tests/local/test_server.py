"""The local server: a real one, in a process of its own, called over HTTP."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from models import tiny
from onnxlet.errors import InvalidInputError, UnavailableError
from onnxlet.local import serve
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import open_store
from servers import PREDICT, ROW, TIMEOUT, Server, exchange, running

pytestmark = pytest.mark.slow

SLOW = {"json": {"instances": [800]}, "timeout": 60}


@pytest.fixture(scope="module")
def server(served_settings: dict[str, str | float]) -> Iterator[Server]:
    """A server over that store."""
    with running(served_settings) as server:
        yield server


def test_a_prediction_names_the_version_that_made_it(server: Server) -> None:
    answer = requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT)
    assert answer.status_code == 200
    assert answer.headers["X-Onnxlet-Model-Version"] == "1"
    assert answer.json()["predictions"][0]["label"] in tiny.LABELS


def test_both_planes_answer_on_one_connection(server: Server) -> None:
    with requests.Session() as session:
        for path in (
            "/v2/health/live",
            "/v2/health/ready",
            "/v1/models/tiny",
            "/registry/models",
            "/openapi.json",
            "/docs",
        ):
            assert session.get(server.url + path, timeout=TIMEOUT).status_code == 200, path
        assert len(session.adapters["http://"].poolmanager.pools.keys()) == 1  # type: ignore[attr-defined]


def test_what_nobody_owns_is_a_problem_document(server: Server) -> None:
    answer = requests.get(server.url + "/nothing", timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_promote_over_http_reaches_predictions_and_is_signed(
    served_settings: dict[str, str | float], tmp_path: Path
) -> None:
    store = open_store((tmp_path / "store").as_uri())
    tiny.publish(store, "tiny", tiny.classifier_package(tmp_path / "one"))
    tiny.publish(store, "tiny", tiny.classifier_package(tmp_path / "two", bias=3), alias=None)
    with running(served_settings | {"store": store.url}) as server:
        alias = server.url + "/registry/models/tiny/aliases/production"
        for _ in range(20):
            assert requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT).status_code == 200
        etag = requests.get(alias, timeout=TIMEOUT).headers["ETag"]
        moved = requests.put(alias, json={"version": 2}, headers={"If-Match": etag}, timeout=TIMEOUT)
        assert moved.json()["entry"]["who"] == "ana"
        deadline = time.monotonic() + TIMEOUT
        version = "1"
        while version == "1" and time.monotonic() < deadline:
            version = requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT).headers["X-Onnxlet-Model-Version"]
        assert version == "2"


def test_a_slow_model_holds_up_neither_health_checks_nor_other_models(server: Server) -> None:
    url = server.url + "/v1/models/slow:predict"
    assert requests.post(url, json={"instances": [20]}, timeout=TIMEOUT).status_code == 200
    slow = [threading.Thread(target=requests.post, args=(url,), kwargs=SLOW) for _ in range(4)]
    started = time.monotonic()
    for thread in slow:
        thread.start()
    time.sleep(0.2)
    longest = 0.0
    while any(thread.is_alive() for thread in slow):
        asked = time.monotonic()
        assert requests.get(server.url + "/v2/health/live", timeout=TIMEOUT).status_code == 200
        assert requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT).status_code == 200
        longest = max(longest, time.monotonic() - asked)
    assert longest < (time.monotonic() - started) / 2


def test_a_body_in_chunks_is_read_whole(server: Server) -> None:
    body = json.dumps(ROW).encode()
    answer = requests.post(server.url + PREDICT, data=iter([body[:5], body[5:]]), timeout=TIMEOUT)
    assert answer.status_code == 200


@pytest.mark.parametrize(("path", "member"), [(PREDICT, "error"), ("/registry/models", "error")])
def test_a_body_over_the_limit_is_413(server: Server, path: str, member: str) -> None:
    json_type = {"Content-Type": "application/json"}
    answer = requests.post(server.url + path, data=b" " * 6_000_001, headers=json_type, timeout=TIMEOUT)
    assert answer.status_code == 413
    assert "6,000,000" in answer.json()[member]


def test_a_client_that_leaves_in_the_middle_of_a_body_does_no_harm(server: Server) -> None:
    for path in (PREDICT, "/registry/models/tiny:rollback"):
        with socket.create_connection(server.address, TIMEOUT) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{{".encode())
    assert requests.get(server.url + "/v2/health/live", timeout=TIMEOUT).status_code == 200


@pytest.mark.parametrize("length", [b"abc", b"-1", b"1, 2"])
def test_a_bad_content_length_is_400(server: Server, length: bytes) -> None:
    head = b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + b"\r\n\r\n"
    assert exchange(server, head).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("path", ["/v1/models/tiny", "/v2/health/live", "/metrics"])
def test_head_answers_without_a_body(server: Server, path: str) -> None:
    got = exchange(server, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 200")
    assert got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/t%69ny", 200),
        ("/v1/models/%2e%2e", 400),
        ("/v1/models/%C3%A9t%C3%A9", 400),
        ("/registry/models/t%69ny", 200),
        ("/registry/models/..%2Ftiny", 404),
        ("/registry/models/%00", 400),
    ],
)
def test_percent_encoding_is_taken_off_once(server: Server, path: str, status: int) -> None:
    got = exchange(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert got.startswith(f"HTTP/1.1 {status}".encode()), got


def test_requests_sent_ahead_are_answered_in_order(server: Server) -> None:
    live = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /registry/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    got = exchange(server, live + live + last)
    assert got.count(b"HTTP/1.1 200") == 3
    assert got.endswith(b'{"models":["slow","tiny"]}')


def test_metrics_count_requests_by_plane_and_status(server: Server) -> None:
    def count() -> int:
        text = requests.get(server.url + "/metrics", timeout=TIMEOUT).text
        found = re.search(r'_count{plane="data",status="404"} (\d+)', text)
        return int(found[1]) if found else 0

    before = count()
    requests.get(server.url + "/v1/models/none", timeout=TIMEOUT)
    assert count() == before + 1


def test_quick_predictions_are_counted_as_well(server: Server) -> None:
    def count() -> int:
        text = requests.get(server.url + "/metrics", timeout=TIMEOUT).text
        found = re.search(r'_count{plane="data",status="200"} (\d+)', text)
        return int(found[1]) if found else 0

    body = json.dumps(ROW).encode()
    whole = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    before = count()
    with socket.create_connection(server.address, TIMEOUT) as connection:
        for _ in range(20):
            connection.sendall(whole)
            received = b""
            while not received.endswith(b"]}"):
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert count() == before + 20


def test_clients_that_ask_at_the_same_time_get_each_their_own_answer(server: Server) -> None:
    rows = [[float(number), 2.0, 3.0] for number in range(24)]
    alone = [requests.post(server.url + PREDICT, json={"instances": [row]}, timeout=TIMEOUT).content for row in rows]
    wrong = requests.post(server.url + PREDICT, json={"instances": [[1]]}, timeout=TIMEOUT).content
    asked = [(row, expected) for row, expected in zip([*rows, [1]], [*alone, wrong], strict=True)] * 2
    for _ in range(5):
        connections = [socket.create_connection(server.address, TIMEOUT) for _ in asked]
        for connection, (row, _) in zip(connections, asked, strict=True):
            body = json.dumps({"instances": [row]}).encode()
            connection.sendall(
                b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (PREDICT.encode(), len(body))
                + body
            )
        for connection, (_, expected) in zip(connections, asked, strict=True):
            with connection:
                got = b""
                while not got.endswith(expected):
                    chunk = connection.recv(65536)
                    assert chunk, got
                    got += chunk


def test_models_are_preloaded_before_the_first_request(served_settings: dict[str, str | float]) -> None:
    with running(served_settings | {"preload": "tiny, none"}) as server:
        answer = requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT)
    assert answer.status_code == 200
    assert "Server-Timing" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost"])  # noqa: S104 - hosts that mean more than one address
def test_any_host_of_this_machine_will_do(served_settings: dict[str, str | float], host: str) -> None:
    if host == "::" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with running(served_settings, host) as server:
        assert requests.get(server.url + "/v2/health/live", timeout=TIMEOUT).status_code == 200


def test_an_interrupt_ends_it_in_order(served_settings: dict[str, str | float]) -> None:
    with running(served_settings) as server:
        requests.get(server.url + "/registry/models", timeout=TIMEOUT)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(TIMEOUT) == 0
        assert server.process.stderr
        assert server.process.stderr.read() == ""


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"port {port} .*choose another"):
            serve(Settings(store="memory://taken"), "127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port", "told"),
    [
        ("no-such-host.invalid", 0, "host 'no-such-host.invalid'"),
        ("192.0.2.1", 0, "host '192.0.2.1'"),
        ("127.0.0.1", 70000, "no port 70000"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_told(host: str, port: int, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        serve(Settings(store="memory://nowhere"), host, port)


def test_a_registry_that_is_changed_by_others_is_seen(server: Server, served_folder: Path, tmp_path: Path) -> None:
    store = open_store((served_folder / "store").as_uri())
    tiny.publish(store, "late", tiny.classifier_package(tmp_path), alias=None)
    assert requests.post(server.url + "/v1/models/late:predict", json=ROW, timeout=TIMEOUT).status_code == 404
    Registry(store).promote("late", 1)
    deadline = time.monotonic() + TIMEOUT
    status = 404
    while status == 404 and time.monotonic() < deadline:
        time.sleep(0.1)
        status = requests.post(server.url + "/v1/models/late:predict", json=ROW, timeout=TIMEOUT).status_code
    assert status == 200


def test_a_cache_that_others_can_write_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(UnavailableError, match="chmod 700"):
        serve(Settings(store="memory://cache", cache_dir=str(tmp_path / "cache")), port=0)
