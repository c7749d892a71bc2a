"""What the demo plays on: the commands themselves, typed and run in this process, and a server in another one."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import click

from onnxlet.errors import DeadlineExceededError, UnavailableError

START_DEADLINE = 30.0
MOVE_DEADLINE = 15.0


class Commands:
    """Commands on one store: each is shown as one would type it, and gives its JSON."""

    def __init__(self, store: str) -> None:
        self.store = store

    def run(self, *words: str) -> Any:  # noqa: ANN401 - any JSON
        """Run a command. Raises what it raises."""
        from onnxlet.cli.root import cli

        click.echo("$ onnxlet " + " ".join(f'"{word}"' if " " in word else word for word in words))
        data, talk = io.StringIO(), io.StringIO()
        with redirect_stdout(data), redirect_stderr(talk):
            cli(["--store", self.store, *words, "--json"], standalone_mode=False)
        return json.loads(data.getvalue())


class LocalServer:
    """`onnxlet serve` in a process of its own, on a free port; it ends with the block."""

    def __init__(self, store: str, log: Path, *, alias_ttl: float) -> None:
        self._log = log
        self._environment = {**os.environ, "ONNXLET_STORE": store, "ONNXLET_ALIAS_TTL": str(alias_ttl)}

    def __enter__(self) -> Self:
        """Start it and wait until it answers. Raises UnavailableError if it does not."""
        command = [sys.executable, "-c", "from onnxlet.cli import main; main()", "serve", "--port", "0"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)  # noqa: S603 - our own
        self.url = self._wait_for_url()
        place = urlsplit(self.url)
        self._connection = HTTPConnection(place.hostname or "", place.port, timeout=START_DEADLINE)
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
            found = re.search(r"https?://\S+:\d+", self._log.read_text(errors="replace"))
            if found:
                return found[0]
            time.sleep(0.05)
        self._process.kill()
        self._process.wait()
        raise UnavailableError(f"the server did not start: {self._log.read_text(errors='replace').strip()[-500:]}")

    def ask(self, path: str, body: dict[str, Any]) -> tuple[float, Any, Message]:
        """POST a body: seconds it took, the answer, its headers. Raises UnavailableError for any but a good answer."""
        text = json.dumps(body).encode()
        started = time.perf_counter()
        self._connection.request("POST", path, text, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = response.read()
        took = time.perf_counter() - started
        if response.status != 200:  # noqa: PLR2004 - HTTP's OK
            raise UnavailableError(f"the server answered {response.status}: {answer[:200].decode(errors='replace')}")
        return took, json.loads(answer), response.headers

    def wait_for_version(self, model: str, version: str, body: dict[str, Any]) -> float:
        """Seconds until `version` of the model answers. Raises DeadlineExceededError if it never does."""
        started = time.monotonic()
        while time.monotonic() - started < MOVE_DEADLINE:
            headers = self.ask(f"/v1/models/{model}:predict", body)[2]
            if headers["X-Onnxlet-Model-Version"] == version:
                return time.monotonic() - started
            time.sleep(0.02)
        raise DeadlineExceededError(f"version {version} of {model!r} never answered")

    def wait(self) -> None:
        """Wait for the process to end, which Ctrl-C makes it do."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            click.echo(err=True)
