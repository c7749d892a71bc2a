"""Optimize a converted model: climb a ladder of smaller graphs, take the best that keeps the accuracy contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.contract import Bounds
from onnxlet.values.manifest import Draft


def optimize(
    directory: Path,
    output: Path | None = None,
    *,
    data: Path | None = None,
    target: str | Sequence[str] | None = None,
    method: str | None = None,
    objective: Literal["smallest-not-slower", "size", "latency"] = "smallest-not-slower",
    cpu: Literal["x86-64", "arm64"] = "x86-64",
    search: bool = False,
    slices: Sequence[str] = (),
    bounds: Bounds = Bounds(),  # noqa: B008 - frozen
    on_progress: Progress | None = None,
) -> Draft:
    """Make the converted model in `directory` smaller where that pays; write to `output`, or in its place.

    `data` is a CSV file with a header or a .npz file, better of rows that were held out: on it answers are compared,
    with a `target` column measured before and after, and ranges calibrated. Without it there are just the golden rows,
    or random ones, to compare. `method` takes one family of rungs alone, for a small graph too, which stays exact
    otherwise; `search` measures node by node which of them to leave in float. A rung keeps the contract that
    `verify` would write with the same `slices` and `bounds`, or is refused. The draft says what each rung gave.

    Raises InvalidInputError for no converted model, one that is optimized already, and unfit data; UnavailableError
    where the disk is full.
    """
    from onnxlet.toolchain.optimize.optimization import OptimizationRun, OptimizeOptions

    options = OptimizeOptions(method, objective, cpu, search, tuple(slices), bounds)
    return OptimizationRun(directory, data, target, options, on_progress or silent).write(output or directory)
