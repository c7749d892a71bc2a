"""Rows 1 to 3 and 8: whole processes, from nothing to the first answer, and what loading a model costs in memory."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from row import ROUNDS, Row, interleaved
from stage import BUCKET, REPOSITORY, Stage

from runtime_api import RuntimeApiStandIn

PROBES = Path(__file__).parent / "probes"
BUILD = REPOSITORY / ".aws-sam" / "build"
HANDLER = str(BUILD / "Predict")
PYTHON = os.path.realpath(sys.executable)
"""The interpreter without this environment's packages, as on Lambda: what is imported comes along on PYTHONPATH."""
BUILT = {"PYTHONPATH": f"{BUILD / 'CoreLayer' / 'python'}:{BUILD / 'EngineLayer' / 'python'}"}
"""What is built for Lambda is what is measured: trimmed layers, with their bytecode."""
INSTALLED = {"PYTHONPATH": sysconfig.get_path("purelib")}
TUTORIAL = str(Path(__file__).parent)
MB = 1_000_000


def run_probe(arguments: list[str], environ: dict[str, str]) -> tuple[float, str]:
    """Wall time and output of a Python process. Raises RuntimeError with its output if it fails."""
    started = time.perf_counter()
    done = subprocess.run([PYTHON, *arguments], env=os.environ | environ, check=False, capture_output=True, text=True)
    wall = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {done.stdout}{done.stderr}")
    return wall, done.stdout


class _Contender:
    """A command whose wall time counts; the parts of its fastest run are kept."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        self._arguments, self._environ = arguments, environ
        self._best = float("inf")
        self.parts: dict[str, float | str] = {}

    def __call__(self) -> float:
        wall, output = run_probe(self._arguments, self._environ)
        if wall < self._best:
            self._best = wall
            self.parts = _milliseconds(ast.literal_eval(output.splitlines()[-1])) if output else {}
        return wall


def _milliseconds(seconds: dict[str, float | str]) -> dict[str, float | str]:
    return {name: value * 1000 if isinstance(value, float) else value for name, value in seconds.items()}


def _ours(stage: Stage, api: RuntimeApiStandIn, store: str, event: str) -> _Contender:
    cache = str(stage.directory / "cache")
    environ = stage.environ | BUILT | {"ONNXLET_STORE": store, "ONNXLET_CACHE_DIR": cache, "ONNXLET_THREADS": "1"}
    environ |= {"AWS_LAMBDA_FUNCTION_NAME": "predict", "AWS_LAMBDA_RUNTIME_API": api.address}
    return _Fresh(cache, [str(PROBES / "cold.py"), HANDLER, "app", str(stage.event(event))], environ)


class _Fresh(_Contender):
    """Ours, with an empty disk cache each time: a new execution environment has none."""

    def __init__(self, cache: str, arguments: list[str], environ: dict[str, str]) -> None:
        super().__init__(arguments, environ)
        self._cache = cache

    def __call__(self) -> float:
        subprocess.run(["rm", "-rf", self._cache], check=True)
        return super().__call__()


def _tutorial(stage: Stage, model: str, event: str) -> _Contender:
    environ = (
        stage.environ
        | INSTALLED
        | {
            "TUTORIAL_BUCKET": BUCKET,
            "TUTORIAL_KEY": f"tutorial/{model}.onnx",
            "ORT_DISABLE_TELEMETRY": "1",
        }
    )
    arguments = [str(PROBES / "cold.py"), TUTORIAL, "tutorial", str(stage.event(f"{event}-tutorial"))]
    return _Contender(arguments, environ)


def _compare(number: int, name: str, budget: float, ours: _Contender, other: _Contender) -> Row:
    label = "floor" if number == 1 else "tutorial"
    contenders: dict[str, Callable[[], float]] = {"ours": ours, "other": other}
    interleaved(contenders, 1)
    best = interleaved(contenders, ROUNDS)
    parts: dict[str, float | str] = {"ours ms": best["ours"] * 1000, f"{label} ms": best["other"] * 1000}
    parts |= {f"ours: {part}": value for part, value in ours.parts.items()}
    parts |= {f"{label}: {part}": value for part, value in other.parts.items()}
    return Row(number, name, best["ours"] / best["other"], budget, "ratio", parts=parts)


def cold_rows(stage: Stage) -> list[Row]:
    """Rows 1, 2 and 3: the extension registers, as on Lambda."""
    with RuntimeApiStandIn() as api:
        return _cold_rows(stage, api)


def _cold_rows(stage: Stage, api: RuntimeApiStandIn) -> list[Row]:
    floor = _Contender([str(PROBES / "floor.py"), str(stage.published("diagnosis"))], BUILT)
    return [
        _compare(1, "cold start from a directory / floor", 1.2, _ours(stage, api, stage.store, "one-row"), floor),
        _compare(
            2,
            "cold start from S3 / tutorial",
            0.25,
            _ours(stage, api, stage.s3, "one-row"),
            _tutorial(stage, "diagnosis", "one-row"),
        ),
        _compare(
            3,
            "cold start of a 90 MB encoder from S3 / tutorial",
            0.32,
            _ours(stage, api, stage.s3, "tokens"),
            _tutorial(stage, "encoder", "tokens"),
        ),
    ]


def memory_row(stage: Stage) -> Row:
    """Row 8: the peak over the imported floor while a model of W bytes is loaded."""
    weights = sum(file.stat().st_size for file in stage.published("encoder").parent.iterdir())
    environ = BUILT | {"ONNXLET_CACHE_DIR": str(stage.directory / "cache-memory"), "ONNXLET_THREADS": "1"}
    peaks = []
    for _ in range(ROUNDS):
        subprocess.run(["rm", "-rf", environ["ONNXLET_CACHE_DIR"]], check=True)
        peaks.append(int(run_probe([str(PROBES / "memory.py"), stage.store, "encoder"], environ)[1]))
    allowed = 1.05 * weights + 20 * MB
    parts: dict[str, float | str] = {
        "model MB": weights / 1e6,
        "peak MB": min(peaks) / 1e6,
        "allowed MB": allowed / 1e6,
    }
    return Row(8, "peak memory while loading / (1.05 W + 20 MB)", min(peaks) / allowed, 1.0, "ratio", parts=parts)
