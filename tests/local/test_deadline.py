"""Runs that last too long, and runs for clients that are gone: a real server, a model as slow as it is asked to be."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable

import pytest
import requests

from servers import PREDICT, ROW, TIMEOUT, Server, running

SLOW = "/v1/models/slow:predict"
SLOW_INFER = "/v2/models/slow/infer"
HOURS = 1e7
"""What the slow model is asked for to run for hours."""
NEVER = 3600.0


def post(path: str, body: object) -> bytes:
    """A request as bytes."""
    written = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (
        path.encode(),
        len(written),
        written,
    )


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for something that happens soon, or not at all."""
    deadline = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refusals(server: Server) -> int:
    """How many predictions were answered 400, whether or not anybody read it."""
    text = requests.get(server.url + "/metrics", timeout=TIMEOUT).text
    return text.count('onnxlet_request_duration_seconds_count{plane="data",status="400"} 1\n')


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (SLOW, {"instances": [HOURS]}),
        (SLOW_INFER, {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [HOURS]}]}),
    ],
    ids=["TensorFlow Serving", "Open Inference"],
)
def test_a_client_that_leaves_ends_its_run(
    served_settings: dict[str, str | float], path: str, body: dict[str, object]
) -> None:
    with running(served_settings | {"run_deadline": NEVER}) as server:
        with socket.create_connection(server.address, TIMEOUT) as connection:
            connection.sendall(post(path, body))
            time.sleep(0.5)
            assert refusals(server) == 0
        wait_until(lambda: refusals(server) == 1)
        answer = requests.post(server.url + SLOW, json={"instances": [1]}, timeout=TIMEOUT)
        assert (answer.status_code, answer.json()) == (200, {"predictions": [1.0]})


def test_a_run_past_the_deadline_is_504(served_settings: dict[str, str | float]) -> None:
    with running(served_settings | {"run_deadline": 0.5}) as server:
        answer = requests.post(server.url + SLOW, json={"instances": [HOURS]}, timeout=TIMEOUT)
        assert answer.status_code == 504
        assert "longer than 0.5 s" in answer.json()["error"]


def test_parsing_and_encoding_count_towards_the_deadline(served_settings: dict[str, str | float]) -> None:
    with running(served_settings | {"run_deadline": 0.02}) as server:
        wait_until(lambda: requests.post(server.url + PREDICT, json=ROW, timeout=TIMEOUT).status_code == 200)
        answer = requests.post(server.url + PREDICT, json={"instances": [[1, 2, 3]] * 400_000}, timeout=TIMEOUT)
        assert answer.status_code == 504
        assert "longer than 0.02 s" in answer.json()["error"]
