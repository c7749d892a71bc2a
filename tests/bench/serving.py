"""Row 9: requests per second of the local server, of the tutorial under uvicorn, and of a bare ASGI app."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import orjson
from load import requests_per_second
from row import Row
from sklearn.datasets import load_breast_cancer
from stage import Stage, free_port, wait_for

CONNECTIONS = 8
SECONDS = 2.0
SERVER_CORE, CLIENT_CORE = {0}, {1}


@contextmanager
def _server(command: list[str], port: int, probe: str, environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | environ,
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=partial(os.sched_setaffinity, 0, SERVER_CORE),  # noqa: PLW1509 - no threads run here
    )
    try:
        wait_for(f"http://127.0.0.1:{port}{probe}", process)
        yield
    finally:
        process.terminate()
        process.wait()


def _uvicorn(target: str, port: int) -> list[str]:
    return ["-m", "uvicorn", target, "--port", str(port), "--no-access-log", "--log-level", "warning"]


def serving_rows(stage: Stage) -> list[Row]:
    """Both ratios of row 9, from one interleaved run."""
    row = load_breast_cancer().data[:1].tolist()
    body = orjson.dumps({"instances": row})
    ports = {name: free_port() for name in ("ours", "tutorial", "floor")}
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CLIENT_CORE)
    ours = ["-c", "from onnxlet.cli import main; main()", "--store", stage.store, "serve", "--port", str(ports["ours"])]
    tutorial_environ = {"TUTORIAL_MODEL": str(stage.plain("diagnosis"))}
    paths = {"ours": "/v1/models/diagnosis:predict", "tutorial": "/v1/models/model:predict", "floor": "/"}
    best = dict.fromkeys(ports, 0.0)
    try:
        with (
            _server(ours, ports["ours"], "/v2/health/live", {"ONNXLET_THREADS": "1"}),
            _server(_uvicorn("tutorial:app", ports["tutorial"]), ports["tutorial"], "/docs", tutorial_environ),
            _server(_uvicorn("bare:app", ports["floor"]), ports["floor"], "/", {}),
        ):
            for _ in range(5):
                for name, port in ports.items():
                    rate: Callable[[], float] = partial(
                        requests_per_second, port, paths[name], body, connections=CONNECTIONS, seconds=SECONDS
                    )
                    best[name] = max(best[name], rate())
    finally:
        os.sched_setaffinity(0, everywhere)
    parts: dict[str, float | str] = {f"{name} requests/s": rate for name, rate in best.items()}
    return [
        Row(
            9,
            "local server / FastAPI tutorial",
            best["ours"] / best["tutorial"],
            4,
            "ratio",
            at_least=True,
            parts=parts,
        ),
        Row(9, "local server / bare ASGI", best["ours"] / best["floor"], 0.5, "ratio", at_least=True),
    ]
