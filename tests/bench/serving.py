"""Row 9: answers per second, and what they cost, of our server, of the tutorial and of a bare ASGI app."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson
from load import requests_per_second
from row import ROUNDS, Row
from sklearn.datasets import load_breast_cancer
from stage import Stage, free_port, wait_for

CONNECTIONS = 8
SECONDS = 2.0
SERVER_CORE, CLIENT_CORE = {0}, {1}


@contextmanager
def _server(command: list[str], port: int, probe: str, environ: dict[str, str]) -> Iterator[int]:
    """The process id of a server on its own core, which answers at `probe`."""
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
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _uvicorn(target: str, port: int) -> list[str]:
    return ["-m", "uvicorn", target, "--port", str(port), "--no-access-log", "--log-level", "warning"]


def _processor_seconds(pid: int) -> float:
    """What a process has used so far, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class _Best:
    """The fastest round of a server: answers per second, and the processor's microseconds for one."""

    rate: float = 0.0
    micros: float = 0.0

    def measure(self, pid: int, rate: Callable[[], float]) -> None:
        used, began = _processor_seconds(pid), time.perf_counter()
        answered = rate()
        if answered > self.rate:
            seconds = time.perf_counter() - began
            self.rate = answered
            self.micros = (_processor_seconds(pid) - used) / (answered * seconds) * 1e6

    @property
    def cores(self) -> float:
        return self.rate * self.micros / 1e6


def serving_rows(stage: Stage) -> list[Row]:
    """Row 9, from one interleaved run; a bare ASGI app under the same server shows what is left to gain."""
    row = load_breast_cancer().data[:1].tolist()
    body = orjson.dumps({"instances": row})
    ports = {name: free_port() for name in ("ours", "tutorial", "bare")}
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CLIENT_CORE)
    ours = ["-c", "from onnxlet.cli import main; main()", "--store", stage.store, "serve", "--port", str(ports["ours"])]
    tutorial_environ = {"TUTORIAL_MODEL": str(stage.plain("diagnosis"))}
    paths = {"ours": "/v1/models/diagnosis:predict", "tutorial": "/v1/models/model:predict", "bare": "/"}
    best = {name: _Best() for name in ports}
    try:
        with (
            _server(ours, ports["ours"], "/v2/health/live", {"ONNXLET_THREADS": "1"}) as our_pid,
            _server(_uvicorn("tutorial:app", ports["tutorial"]), ports["tutorial"], "/docs", tutorial_environ) as pid,
            _server(_uvicorn("bare:app", ports["bare"]), ports["bare"], "/", {}) as bare_pid,
        ):
            pids = {"ours": our_pid, "tutorial": pid, "bare": bare_pid}
            for _ in range(ROUNDS):
                for name, port in ports.items():
                    rate: Callable[[], float] = partial(
                        requests_per_second, port, paths[name], body, connections=CONNECTIONS, seconds=SECONDS
                    )
                    best[name].measure(pids[name], rate)
    finally:
        os.sched_setaffinity(0, everywhere)
    parts: dict[str, float | str] = {}
    for name, measured in best.items():
        parts[f"{name} requests/s"] = measured.rate
        parts[f"{name} CPU us a request"] = measured.micros
        parts[f"{name} cores"] = measured.cores
    ratio = best["ours"].rate / best["tutorial"].rate
    name = "local server / FastAPI tutorial (async def) under uvicorn"
    return [Row(9, name, ratio, 1.5, "ratio", at_least=True, parts=parts)]
