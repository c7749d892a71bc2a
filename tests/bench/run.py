"""`make bench`: measure every row of the budget table, print it, write docs/performance.md and build/bench.json.

Exits 0 when it ran, whatever the budgets say. Everything is a ratio or a difference within this one run. The library
is compiled first, as installing it would: its peers are installed, and without bytecode each process compiles anew.
"""

from __future__ import annotations

import compileall
import datetime as dt
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from batch_media import media_rows
from cold import cold_rows, memory_row
from explanations import explanation_rows
from images import image_rows
from layers import layer_rows
from reading import reading_rows
from report import remaining, table
from row import Row
from stage import REPOSITORY, staged
from texts import text_rows
from tokens import token_rows
from trees import tree_rows
from warm import image_row, warm_rows

import onnxlet
from batch import batch_rows
from serving import serving_rows


def say(text: str) -> None:
    """Talk on stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command's own talk


def measure() -> list[Row]:
    """All rows, in the order of their numbers."""
    with tempfile.TemporaryDirectory(prefix="onnxlet-bench-") as directory:
        compileall.compile_dir(Path(onnxlet.__file__).parent, quiet=1)
        say("training, converting and publishing the models …")
        with staged(Path(directory)) as stage:
            steps: list[tuple[str, Callable[[], list[Row]]]] = [
                ("cold starts", lambda: cold_rows(stage)),
                ("warm calls", lambda: warm_rows(stage)),
                ("JSON", lambda: [image_row(stage)]),
                ("memory", lambda: [memory_row(stage)]),
                ("the local server", lambda: serving_rows(stage)),
                ("layers", layer_rows),
                ("reading", lambda: reading_rows(stage)),
                ("whole files", lambda: batch_rows(stage)),
                ("files of texts and pictures", lambda: media_rows(stage)),
                ("texts", text_rows),
                ("images", image_rows),
                ("tokens", token_rows),
                ("explanations", explanation_rows),
                ("explanations of trees", tree_rows),
            ]
            rows = []
            for name, step in steps:
                say(f"measuring {name} …")
                rows += step()
            return sorted(rows, key=lambda row: row.row)


def machine() -> str:
    """What this was measured on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def main() -> None:
    """Measure and write."""
    rows = measure()
    today = dt.datetime.now(dt.UTC).date().isoformat()
    lines = [
        "# Performance",
        "",
        "Written by `make bench`. Every figure is a ratio or a difference within one run; wall times differ from",
        "machine to machine. Python 3.13, one intra-op thread, best of 5 interleaved rounds.",
        "",
        f"Measured on {today}: {machine()}.",
        "",
        *table(rows),
        "",
        "Row 11 beside polars, but for ids, texts and empty cells: budgets are what two idle cores gave, less a tenth.",
        "",
        *remaining(rows),
        "",
    ]
    (REPOSITORY / "docs" / "performance.md").write_text("\n".join(lines))
    build = REPOSITORY / "build"
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_text(json.dumps([row.document() for row in rows], indent=2) + "\n")
    print("\n".join(table(rows)))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
