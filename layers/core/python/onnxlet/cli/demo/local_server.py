"""`onnxlet serve` in a process of its own, for the demo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import click

from onnxlet.errors import DeadlineExceededError, UnavailableError
from onnxlet.values.headers import MODEL_VERSION

START_DEADLINE = 30.0
MOVE_DEADLINE = 15.0


class LocalServer:
    """`onnxlet serve` in a process of its own, on a free port; it ends with the block."""

    def __init__(self, store: str, log: Path, *, alias_ttl: float) -> None:
        self._log = log
        ours = {"ONNXLET_STORE": store, "ONNXLET_ALIAS_TTL": str(alias_ttl), "ONNXLET_TOKEN": ""}  # it is asked without
        self._environment = os.environ | ours

    def __enter__(self) -> Self:
        """Start it and wait until it answers. Raises UnavailableError if it does not."""
        command = [sys.executable, "-c", "from onnxlet.cli import main; main()", "serve", "--port", "0"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)  # noqa: S603 - our own
        self.url = self._wait_for_url()
        address = urlsplit(self.url)
        self._connection = HTTPConnection(address.hostname or "", address.port, timeout=START_DEADLINE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._connection.close()
        self._process.terminate()
        self._process.wait(START_DEADLINE)

    def _wait_for_url(self) -> str:
        give_up = time.monotonic() + START_DEADLINE
        while time.monotonic() < give_up and self._process.poll() is None:
            url = re.search(r"https?://\S+:\d+", self._log.read_text(errors="replace"))
            if url:
                return url[0]
            time.sleep(0.05)
        self._process.kill()
        self._process.wait()
        raise UnavailableError(f"the server did not start: {self._log.read_text(errors='replace').strip()[-500:]}")

    def ask(self, path: str, body: dict[str, Any]) -> tuple[float, Any, Message]:
        """POST a body: the seconds that took, the answer, its headers. Raises UnavailableError if it is no good one."""
        text = json.dumps(body).encode()
        started = time.perf_counter()
        self._connection.request("POST", path, text, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - started
        if response.status != 200:  # noqa: PLR2004 - HTTP's OK
            raise UnavailableError(f"the server answered {response.status}: {answer[:200].decode(errors='replace')}")
        return seconds, json.loads(answer), response.headers

    def wait_for_version(self, model: str, version: str, body: dict[str, Any]) -> float:
        """Seconds until `version` of the model answers. Raises DeadlineExceededError if it never does."""
        started = time.monotonic()
        while time.monotonic() - started < MOVE_DEADLINE:
            headers = self.ask(f"/v1/models/{model}:predict", body)[2]
            if headers[MODEL_VERSION] == version:
                return time.monotonic() - started
            time.sleep(0.02)
        raise DeadlineExceededError(f"version {version} of {model!r} never answered")

    def wait(self) -> None:
        """Wait for the process to end, which Ctrl-C makes it do."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            click.echo(err=True)
