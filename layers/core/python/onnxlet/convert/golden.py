"""Golden cases of a graph with steps around it: which rows, and what they are expected to answer."""

from __future__ import annotations

from typing import Literal

from onnxlet.convert.directory import GOLDEN
from onnxlet.convert.evaluation import LABEL, PREDICTION, PROBABILITIES, graph_inputs, renamed
from onnxlet.engine import Engine
from onnxlet.errors import ExecutionError
from onnxlet.golden import GoldenCase
from onnxlet.manifest import Golden, Steps, Tolerance
from onnxlet.synthesis import arbitrary_rows, golden_cases, row_cases, synthetic_rows, telling_order
from onnxlet.tensors import Tensors

SYNTHETIC_ROWS = 512
SEED = 0

Source = Literal["synthetic", "data", "random"]


def golden_of(
    engine: Engine, steps: Steps, columns: Tensors, *, source: Source, tolerance: Tolerance
) -> tuple[Golden | None, tuple[GoldenCase, ...]]:
    """Up to four cases near the decision boundary and of each class; None where no answer is steady enough.

    `columns` are rows of served datatypes: the data, of which only statistics are used unless the source is `data`.
    """
    if source == "synthetic":
        columns = synthetic_rows(columns, SYNTHETIC_ROWS, seed=SEED)
        if not len(next(iter(columns.values()))):
            # every combination of frequent values is a row of the data
            source = "random"
            columns = arbitrary_rows(columns, SYNTHETIC_ROWS, seed=SEED)
    inputs = graph_inputs(engine, steps, columns)
    try:
        outputs = renamed(steps.classification, engine.run(inputs))
    except ExecutionError:
        # arbitrary rows may hold what an encoder has never seen
        return None, ()
    order = telling_order(outputs.get(LABEL), outputs.get(PROBABILITIES, outputs.get(PREDICTION)))
    cases = golden_cases(engine, row_cases(inputs, order), tolerance)
    if not cases:
        return None, ()
    return Golden(path=GOLDEN, source=source, cases=len(cases), tolerance=tolerance), cases
