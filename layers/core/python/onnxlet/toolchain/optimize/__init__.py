"""Optimize a converted model: try a ladder of smaller graphs, take the best that keeps the accuracy contract.

optimization     one optimization: tries the ladder, chooses, writes the directory
ladder           tries the rungs of a family, with sensitive nodes left in float where the contract asks for it
families         the rungs: dynamic_int8, static_int8 (calibration), weight_only, float16; embeddings in 8 bits
split            which rows choose and which judge; choice: what most splits of the rows choose
candidates       one rung tried: its size, its answers under the contract, its latency
selection        the choice among the candidates, with the reason
evaluation_rows  the rows that answers are compared on
latency          two engines timed side by side
graph            what a graph has to gain; quantizer_output keeps ONNX Runtime's quantizers quiet
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.contract import Bounds
from onnxlet.values.manifest import Draft

if TYPE_CHECKING:
    from onnxlet.toolchain.workbench.data import Data, Judge, Target
    from onnxlet.toolchain.workbench.evaluation_data import Group


def optimize(
    directory: Path,
    output: Path | None = None,
    *,
    data: Data | None = None,
    target: Target = None,
    method: str | None = None,
    objective: Literal["smallest-not-slower", "size", "latency"] = "smallest-not-slower",
    cpu: Literal["x86-64", "arm64"] = "x86-64",
    search: bool = False,
    slices: Sequence[str] = (),
    bounds: Bounds = Bounds(),  # noqa: B008 - frozen
    group: Group | None = None,
    judge: Judge | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Draft:
    """Make the converted model in `directory` smaller where that pays; write to `output`, or in its place.

    `data` is as `convert` takes it, best of held-out rows: answers are compared on it, metrics measured by its
    `target`, ranges calibrated. Without it answers are compared on golden rows, else on random ones. `method` tries one
    family alone, even for a small graph, which is left exact otherwise. `search` measures node by node which to leave
    in float. A rung must keep the contract that `verify` would write with the same `slices` and `bounds`. The draft
    records what each rung gave.

    Half of the data's rows choose, and `verify` judges by the others; of fewer than 400 rows each judges what five
    splits chose without it. `seed` draws them, `group` names a column whose values, patients say, stay on one side, or
    gives these values. With `judge`, rows that the model was converted with as well, all of the data choose.

    Raises InvalidInputError for no converted model, one that is optimized already, and unfit data; UnavailableError
    where the disk is full.
    """
    from onnxlet.toolchain.optimize.optimization import OptimizationRun, OptimizeOptions

    options = OptimizeOptions(method, objective, cpu, search, tuple(slices), bounds, group, judge, seed)
    return OptimizationRun(directory, data, target, options, on_progress or silent).write(output or directory)
