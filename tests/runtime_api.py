"""A stand-in for Lambda's Runtime and Extensions API, and processes that run a function against it.

Unlike Lambda's own emulator it answers the caller as soon as the runtime posts the answer, as Lambda does, and it tells
when the extension was done. It starts no processes, kills none and freezes none: tests do that with signals.
Source: "Lambda runtime API" and "Lambda Extensions API" of the Lambda developer guide.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

SECONDS = 30
RUNTIME = """
import http.client, json, os, sys
sys.path.insert(0, sys.argv[1])
import app
host = os.environ["AWS_LAMBDA_RUNTIME_API"]

def ask(method, path, body=None):
    connection = http.client.HTTPConnection(host)
    connection.request(method, "/2018-06-01/runtime/" + path, body)
    answer = connection.getresponse()
    return answer.headers, answer.read()

class Context:
    def __init__(self, aws_request_id):
        self.aws_request_id = aws_request_id

while True:
    headers, event = ask("GET", "invocation/next")
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        answer = app.handler(json.loads(event), Context(request_id))
    except Exception as error:
        ask("POST", f"invocation/{request_id}/error", json.dumps({"errorType": type(error).__name__}))
    else:
        ask("POST", f"invocation/{request_id}/response", json.dumps(answer))
"""
"""The least that a runtime is: one invocation after the other, each in the main thread."""


@dataclass
class Invocation:
    """One invocation, and when (by time.monotonic) its answer came and its extension was done."""

    request_id: str
    event: object
    answer: Any = None
    answered: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    answered_at: float = 0.0
    done_at: float = 0.0


class RuntimeApiStandIn:
    """The API at `address`. `registered` are the events that extensions asked for; `refuses` has it refuse them."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.registered: list[list[str]] = []
        self.initialized = threading.Event()
        self._runtime: queue.Queue[Invocation] = queue.Queue()
        self._extension: queue.Queue[Invocation] = queue.Queue()
        self._invocations: dict[str, Invocation] = {}
        self._current: Invocation | None = None
        self._asked = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def invoke(self, event: object, *, awaited: bool = True) -> Invocation:
        """Invoke the function; back once it answered, and unless it is not `awaited` its extension is done."""
        assert self.initialized.wait(SECONDS), "the function did not start"
        if self.registered:
            assert self._asked.wait(SECONDS), "the extension did not ask for an invocation"
        invocation = Invocation(f"request-{len(self._invocations) + 1}", event)
        self._invocations[invocation.request_id] = self._current = invocation
        self._runtime.put(invocation)
        if self.registered:
            self._extension.put(invocation)
        assert invocation.answered.wait(SECONDS), "the function did not answer"
        if awaited and self.registered:
            assert invocation.done.wait(SECONDS), "the extension did not end"
        return invocation

    def register(self, events: list[str]) -> bool:
        """What registering gives: nothing once the function has started, nor for an event that is not for insiders."""
        if self.refuses or self.initialized.is_set() or events != ["INVOKE"]:
            return False
        self.registered.append(events)
        return True

    def next_for_extension(self) -> Invocation:
        """What `event/next` answers, sooner or later; asking says that the extension is done with the last."""
        if self._current is not None:
            self._current.done_at = time.monotonic()
            self._current.done.set()
        self._asked.set()
        return self._extension.get()

    def next_for_runtime(self) -> Invocation:
        """What `invocation/next` answers, sooner or later."""
        self.initialized.set()
        return self._runtime.get()

    def take_answer(self, request_id: str, answer: object) -> None:
        """An answer of the function, or its error."""
        invocation = self._invocations[request_id]
        invocation.answer, invocation.answered_at = answer, time.monotonic()
        invocation.answered.set()

    def __enter__(self) -> Self:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


def _handler_of(api: RuntimeApiStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.endswith("/extension/event/next"):
                invocation = api.next_for_extension()
                deadline = int((time.time() + SECONDS) * 1000)
                self._send({}, {"eventType": "INVOKE", "deadlineMs": deadline, "requestId": invocation.request_id})
            else:
                invocation = api.next_for_runtime()
                self._send({"Lambda-Runtime-Aws-Request-Id": invocation.request_id}, invocation.event)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.endswith("/extension/register"):
                if api.register(body["events"]):
                    self._send({"Lambda-Extension-Identifier": "stand-in"}, {})
                else:
                    self._send({}, {"errorType": "RegistrationClosed"}, status=403)
            else:
                api.take_answer(self.path.split("/")[-2], body)
                self._send({}, {}, status=202)

        def _send(self, headers: dict[str, str], body: object, status: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@dataclass
class Function:
    """A function's process, and the lines that it wrote so far, with when (by time.monotonic) they came."""

    process: subprocess.Popen[str]
    lines: list[tuple[float, str]]

    def documents(self) -> list[dict[str, Any]]:
        """The lines as JSON."""
        return [json.loads(line) for _, line in list(self.lines)]

    def total(self, metric: str) -> float:
        """The sum of a metric over all lines that have it for a version; times count once each."""
        found = (document[metric] for document in self.documents() if metric in document and "kind" not in document)
        return sum(len(value) if isinstance(value, list) else value for value in found)

    def wait(self) -> int:
        """Wait until it ends and all it wrote was read."""
        code = self.process.wait(SECONDS)
        self._reading.join(SECONDS)
        return code

    def read(self) -> None:
        """Begin to read what it writes."""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))


@contextmanager
def running(api: RuntimeApiStandIn, folder: Path, environ: dict[str, str]) -> Iterator[Function]:
    """The function in `folder` in a process of its own, as Lambda sets it up; killed at the end if it still runs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ONNXLET_", "AWS_LAMBDA"))}
    facts = {"AWS_LAMBDA_RUNTIME_API": api.address, "AWS_LAMBDA_FUNCTION_NAME": "predict", "ORT_DISABLE_TELEMETRY": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", RUNTIME, str(folder)],
        env=kept | facts | environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    function = Function(process, [])
    function.read()
    try:
        yield function
    finally:
        process.kill()
        function.wait()
        if process.stdout:
            process.stdout.close()
