"""A proxy before an S3 server, which does to requests and answers what networks and busy services do."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
FAULTS = {
    "refused": 0.02,  # 503, nothing done
    "failed after": 0.015,  # 500, though it was done
    "reset before": 0.015,
    "reset after": 0.02,  # done, and the answer lost
    "slow": 0.03,
    "cut": 0.02,
    "changed": 0.01,
    "doubled": 0.02,
}
"""Shares of the requests that each fault befalls."""
LONGEST_DELAY = 1.5


@dataclass
class Weather:
    """Which faults come, by a seed and the share that each has. `counted` are those that came."""

    seed: int
    shares: dict[str, float] = field(default_factory=FAULTS.copy)
    counted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - faults, no secret
        self._lock = threading.Lock()

    def draw(self) -> str:
        """The fault of the next request; empty for none."""
        with self._lock:
            self.counted["requests"] += 1
            fault = self._random.choices([*self.shares, ""], [*self.shares.values(), 1 - sum(self.shares.values())])[0]
            if fault:
                self.counted[fault] += 1
            return fault

    def delay(self) -> float:
        """Seconds that a slow request takes longer."""
        with self._lock:
            return self._random.uniform(0.1, LONGEST_DELAY)

    def place(self, size: int) -> int:
        """Where in so many bytes something happens."""
        with self._lock:
            return self._random.randrange(size)


@contextmanager
def failing(url: str, weather: Weather) -> Iterator[str]:
    """The URL of a proxy before `url`."""
    address = urlsplit(url).netloc

    class Handler(_Handler):
        pass

    Handler.address, Handler.weather = address, weather
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that are killed are part of it
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class _Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    address: str
    weather: Weather

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.weather.draw()
        if fault == "refused":
            self._send(_Answer(503, [("Content-Type", "application/xml")], SLOW_DOWN))
        elif fault == "reset before":
            self._reset()
        else:
            if fault == "slow":
                time.sleep(self.weather.delay())
            answer = self._pass_on(body)
            if fault == "doubled":
                answer = self._pass_on(body)
            self._return(answer, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the names that http.server calls

    def _return(self, answer: _Answer, fault: str) -> None:
        if fault == "failed after":
            self._send(_Answer(500, [("Content-Type", "application/xml")], SLOW_DOWN))
        elif fault == "reset after":
            self._reset()
        elif fault == "cut" and answer.body:
            self._send(answer, sent=self.weather.place(len(answer.body)))
            self._reset()
        elif fault == "changed" and answer.body and self.command == "GET":
            changed = bytearray(answer.body)
            changed[self.weather.place(len(changed))] ^= 1
            self._send(_Answer(answer.status, answer.headers, bytes(changed)))
        else:
            self._send(answer)

    def _pass_on(self, body: bytes) -> _Answer:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, kept)
            got = connection.getresponse()
            return _Answer(got.status, got.getheaders(), got.read())
        finally:
            connection.close()

    def _send(self, answer: _Answer, sent: int | None = None) -> None:
        self.send_response_only(answer.status)
        length = None
        for name, value in answer.headers:
            if name.lower() == "content-length":
                length = value
            elif name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        # that of a HEAD is the object's, not that of the body, which it has not
        own = length if self.command == "HEAD" and length is not None else str(len(answer.body))
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", own)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:sent])
        self.wfile.flush()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing: `Weather` counts."""
