"""A function under Lambda's Runtime Interface Emulator and its real Python runtime client, without containers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from e2e.stage import BUILD, REPOSITORY, Stage, free_port, running, wait_for

HOST = "127.0.0.1"
RUNTIME = REPOSITORY / ".tools" / "runtime"
"""awslambdaric, which on Lambda is part of the runtime."""


@dataclass(frozen=True)
class Emulated:
    """A function that runs: where it is invoked, the emulator's process, and the file of what both write."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def invoke(self, it: object) -> Any:  # noqa: ANN401 - JSON
        """What the function returns for an event."""
        return json.loads(self.say(it))

    def say(self, it: object) -> str:
        """What the emulator says to an event, be it the function's answer or not."""
        answer = requests.post(self.address, data=json.dumps(it), timeout=60)
        answer.raise_for_status()
        return answer.text

    def lines(self) -> list[str]:
        """What was written so far."""
        return self.log.read_text().splitlines()


@contextmanager
def emulated(
    emulator: Path,
    stage: Stage,
    function: str,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    level: str = "error",
) -> Iterator[Emulated]:
    """A function as it runs on Lambda: its own code (or that in `folder`), its layers, then the runtime's packages."""
    resources = yaml.safe_load((BUILD / "template.yaml").read_text())["Resources"]
    named = resources[function]["Properties"]["Layers"]
    while "Fn::If" in named:
        named = named["Fn::If"][2]  # without those that are asked for
    layers = [BUILD / layer["Ref"] / "python" for layer in named]
    code = folder or BUILD / function
    path = os.pathsep.join(map(str, [code, *layers, RUNTIME]))
    facts = {"AWS_LAMBDA_FUNCTION_NAME": function, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "PYTHONPATH": path}
    port, runtime_port = free_port(HOST), free_port(HOST)
    command = [str(emulator), "--log-level", level]
    command += ["--runtime-interface-emulator-address", f"{HOST}:{port}"]
    command += ["--runtime-api-address", f"{HOST}:{runtime_port}"]
    command += [os.environ["LAMBDA_PYTHON"], "-m", "awslambdaric", "app.handler"]
    log = stage.directory / f"emulator-{function}.log"
    with running(command, stage.environ | facts | dict(environ or {}), log, code) as process:
        wait_for(HOST, port, process, log, seconds=30)
        yield Emulated(f"http://{HOST}:{port}/2015-03-31/functions/function/invocations", process, log)
