"""The data plane on a store that takes requests and does not answer them: S3 behind a line that goes silent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from doors import Shop
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request, Response
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store

PREDICT = Request("POST", "/v1/models/echo:predict", body=b'{"instances": [1]}')
PATIENCE = 9
"""Seconds within which a caller has an answer: reading is given up after about 4, on a busy machine later."""
pytestmark = pytest.mark.slow


class Line:
    """A line to a server: it carries bytes both ways, until it goes silent and only takes what callers send."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.silent = Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for end in self._sockets:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [caller, server]
                for source, sink in ((caller, server), (server, caller)):
                    Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                if not self.silent.is_set():
                    sink.sendall(data)
            if not self.silent.is_set():
                sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def line(s3_endpoint: str, s3_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """The line to a store that holds a model."""
    Shop(open_store(s3_store_url), tmp_path / "shop").publish_echo("echo", "FP32", -1)
    line = Line(int(s3_endpoint.rpartition(":")[2]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)
    yield line
    line.close()


@pytest.fixture
def plane(line: Line, s3_store_url: str, tmp_path: Path) -> DataPlane:
    """A data plane at the end of the line, which looks at aliases before each prediction."""
    assert line
    settings = Settings(alias_ttl=0.0, cache_dir=str(tmp_path / "cache"))
    return DataPlane(Predictor(open_store(s3_store_url), settings))


def timed(plane: DataPlane) -> tuple[Response, float]:
    start = time.monotonic()
    response = plane.answer(PREDICT)
    return response, time.monotonic() - start


def test_a_slow_store_is_503_within_seconds(line: Line, plane: DataPlane) -> None:
    line.silent.set()
    response, seconds = timed(plane)
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert response.body == b'{"error":"the model store does not answer: try again later"}'
    assert seconds < PATIENCE


@pytest.mark.long
def test_what_is_loaded_goes_on_as_stale_while_the_store_is_slow(line: Line, plane: DataPlane) -> None:
    assert "X-Onnxlet-Stale" not in timed(plane)[0].headers
    line.silent.set()
    response, seconds = timed(plane)
    assert (response.status, response.headers["X-Onnxlet-Stale"]) == (200, "true")
    assert response.body == b'{"predictions":[1.0]}'
    assert seconds < PATIENCE
