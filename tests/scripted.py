"""Servers for clients to be tested with: the real one in a process of its own, and one that answers as it is told."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

WAIT = 20
ONNXLET = [sys.executable, "-c", "from onnxlet.cli import main; main()"]


_HOP_BY_HOP = frozenset({"host", "connection", "content-length"})
_PASSED = frozenset({"etag", "content-type", "x-onnxlet-model-version", "x-onnxlet-alias"})


@dataclass
class Server:
    """A running `onnxlet serve`."""

    url: str
    store: str
    process: subprocess.Popen[str]


@contextmanager
def serving(store: str, cache: Path, port: int = 0, **environ: str) -> Iterator[Server]:
    """`onnxlet serve` on a free port, until the end or until somebody kills it."""
    with (cache.parent / f"{cache.name}.log").open("w") as log:
        process = subprocess.Popen(
            [*ONNXLET, "--store", store, "serve", "--port", str(port)],
            env=os.environ | {"ONNXLET_CACHE_DIR": str(cache), "ONNXLET_ALIAS_TTL": "0"} | environ,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().strip(), store, process)
        finally:
            process.terminate()
            process.wait(WAIT)
            process.stdout.close()


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """The client's port, which is another for each connection."""


@dataclass
class Reply:
    """What is answered; `after` seconds, `cut` after so many bytes of the body."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    cut: int | None = None


class Reset:
    """No answer at all: the connection is reset once the request has been read."""


Answer = Callable[[Received], Reply | Reset]


@dataclass
class Scripted:
    """A server that answers by a function, and keeps what it received."""

    url: str
    received: list[Received]

    @property
    def asked(self) -> list[str]:
        """The requests' methods and paths."""
        return [f"{request.method} {request.path}" for request in self.received]


@contextmanager
def scripted(answer: Answer) -> Iterator[Scripted]:
    """A server on a free port that answers each request as `answer` says."""
    received: list[Received] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Received(self.command, self.path, dict(self.headers), body, self.client_address[1])
            received.append(request)
            reply = answer(request)
            if isinstance(reply, Reset):
                self._reset()
                return
            ended.wait(reply.after)
            self.send_response(reply.status)
            head = {"Content-Type": "application/json", "Content-Length": str(len(reply.body)), **reply.headers}
            for name, value in head.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self._reset()

        do_GET = do_POST = do_PUT = _handle  # noqa: N815 - the names that http.server calls

        def _reset(self) -> None:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nothing: tests look at `received`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that leave are part of the script
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Scripted(f"http://127.0.0.1:{server.server_port}", received)
    finally:
        ended.set()
        server.shutdown()
        thread.join(WAIT)
        server.server_close()


PassOn = Callable[[], Reply]
"""What passes a request on to the server behind a proxy."""


@contextmanager
def between(url: str, meddle: Callable[[Received, PassOn], Reply | Reset]) -> Iterator[Scripted]:
    """A proxy before the server at `url`: `meddle` gets each request, and what passes it on."""

    def answer(request: Received) -> Reply | Reset:
        def pass_on() -> Reply:
            kept = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
            got = requests.request(request.method, url + request.path, headers=kept, data=request.body, timeout=WAIT)
            return Reply(got.status_code, got.content, {n: v for n, v in got.headers.items() if n.lower() in _PASSED})

        return meddle(request, pass_on)

    with scripted(answer) as proxy:
        yield proxy


def says(document: object, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; header names are written with `_` for `-`."""
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(document).encode(), written)


METADATA = says(
    {
        "model_spec": {"name": "sum", "signature_name": "", "version": "3"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": {
                        "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}},
                        "outputs": {"y": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}]}}},
                    }
                }
            }
        },
    }
)
"""Of a model `sum` of version 3, that takes `x` FP32 [N] and gives `y` FP32 [N]."""
