"""The command as tests run it: in this process by `run`, or in one of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import Result

Run = Callable[..., Result]
"""Runs a command with the words given."""

ONNXLET = [sys.executable, "-c", "from onnxlet.cli import main; main()"]


def read_json(result: Result) -> Any:  # noqa: ANN401 - any JSON
    """What a command that succeeded printed."""
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def environment(store: str, folder: Path, **more: str) -> dict[str, str]:
    """The environment of a command on a store, with its cache in a folder."""
    return {**os.environ, "ONNXLET_STORE": store, "ONNXLET_CACHE_DIR": str(folder / "cache"), **more}


@contextmanager
def serving(store: str, folder: Path, **more: str) -> Iterator[str]:
    """The URL of `onnxlet serve`, which Ctrl-C ends in good order; it logs to `server.log` in the folder."""
    log = folder / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*ONNXLET, "serve", "--port", "0"], env=environment(store, folder, **more), stdout=file, stderr=file
        )
    try:
        url = None
        give_up = time.monotonic() + 30
        while url is None and time.monotonic() < give_up and server.poll() is None:
            url = re.search(r"http://\S+:\d+", log.read_text())
            time.sleep(0.05)
        assert url is not None, log.read_text()
        yield url[0]
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    assert "Traceback" not in log.read_text()
