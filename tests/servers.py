"""Local servers in processes of their own, and what tests send them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

TIMEOUT = 20
PREDICT = "/v1/models/tiny:predict"
ROW = {"instances": [[1, 2, 3]]}
PROGRAM = """
import json, sys
from onnxlet.local import serve
from onnxlet.local.limits import Limits
from onnxlet.settings import Settings
settings, host, options = sys.argv[1:]
options = json.loads(options)
limits = Limits(**options.pop("limits", {}))
serve(Settings(**json.loads(settings)), host, 0, who="ana", limits=limits, **options)
"""


@dataclass
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[str]

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)


@contextmanager
def running(settings: dict[str, str | float], host: str = "127.0.0.1", **options: Any) -> Iterator[Server]:  # noqa: ANN401
    """A server on a free port, once it answers; `options` are those of `serve`."""
    with starting(settings, host, **options) as process:
        assert process.stderr
        yield Server(_announced(process.stderr), process)


@contextmanager
def starting(
    settings: dict[str, str | float],
    host: str = "127.0.0.1",
    **options: Any,  # noqa: ANN401
) -> Iterator[subprocess.Popen[str]]:
    """The process of such a server, at the head of a process group of its own."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(settings), host, json.dumps(options)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr
    try:
        yield process
    finally:
        process.terminate()
        process.wait(2 * TIMEOUT)
        process.stderr.close()


def _announced(said: IO[str]) -> str:
    lines = []
    for line in said:
        lines.append(line)
        if found := re.search(r"http://\S+:\d+", line):
            return found[0]
    raise AssertionError("".join(lines))


def exchange(server: Server, *parts: bytes) -> bytes:
    """What the server sends back on one connection, until it closes it."""
    with socket.create_connection(server.address, TIMEOUT) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received
