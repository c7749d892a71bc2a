"""Figures: how good the float graph and the optimized one are, on the rows that judge."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlet.serving.engine import Engine
from onnxlet.steps import Steps
from onnxlet.toolchain.optimize.evaluation_rows import EvaluationRows, count_single_rows, run_rows
from onnxlet.toolchain.workbench.comparison import compare
from onnxlet.toolchain.workbench.evaluation import measure
from onnxlet.toolchain.workbench.reference import ONNX, SOURCE
from onnxlet.values.manifest import Evaluation, OutputMeaning, Tolerance

OPTIMIZED = "optimized"


def evaluate_stages(
    float_graph: Engine,
    optimized: Engine | None,
    steps: Steps,
    rows: EvaluationRows,
    *,
    known: Mapping[str, Evaluation],
    outputs: OutputMeaning | None = None,
) -> dict[str, Evaluation]:
    """The stages that can be measured on these rows, and what was `known` of the same rows before.

    Raises ExecutionError, InvalidInputError as the engines do.
    """
    stages = {}
    alone = count_single_rows(float_graph, rows)
    before = run_rows(float_graph, steps, rows, alone)
    for stage, answers in ((SOURCE, rows.source), (ONNX, before.batch)):
        measured = {} if answers is None else measure(rows.truth, answers, steps, outputs)
        if measured:
            old = known.get(stage)
            same = old.metrics if old is not None and old.rows == rows.count else {}
            stages[stage] = Evaluation(stage, rows.count, {**same, **measured})
    if optimized is not None:
        after = run_rows(optimized, steps, rows, alone)
        figures = {
            **measure(rows.truth, after.batch, steps, outputs),
            **compare(before.batch, after.batch, Tolerance()).metrics(),
            "largest_distance_alone": compare(before.alone, after.alone, Tolerance()).largest_distance,
        }
        stages[OPTIMIZED] = Evaluation(OPTIMIZED, rows.count, figures)
    return stages
