"""Golden cases of a graph with steps around it: which rows, and what they are expected to answer."""

from __future__ import annotations

from itertools import chain
from typing import Literal

from onnxlet.convert.directory import GOLDEN
from onnxlet.convert.evaluation import PREDICTION, graph_inputs, renamed
from onnxlet.convert.source import Rows
from onnxlet.engine import Engine
from onnxlet.errors import ExecutionError
from onnxlet.golden import GoldenCase
from onnxlet.manifest import Golden, Steps, Tabular, Tolerance
from onnxlet.steps import names_of
from onnxlet.synthesis import (
    arbitrary_rows,
    between_whole_numbers,
    golden_cases,
    row_cases,
    synthetic_rows,
    telling_order,
)
from onnxlet.tensors import Tensors

SYNTHETIC_ROWS = 512
SEED = 0

Source = Literal["synthetic", "data", "random"]


def golden_rows(rows: Rows, tabular: Tabular | None, wanted: Literal["synthetic", "data"]) -> tuple[Tensors, Source]:
    """Rows of served datatypes to make golden cases of, and what they are: of the data only its statistics are used,
    unless it is `wanted` itself.
    """
    if rows.source != "data" or wanted == "data":
        return rows.served(tabular), rows.source
    if rows.made_up is not None:
        return rows.made_up.served(tabular), rows.made_up.source
    columns = rows.served(tabular)
    synthetic = synthetic_rows(columns, SYNTHETIC_ROWS, seed=SEED)
    if len(next(iter(synthetic.values()))):
        return synthetic, "synthetic"
    # every combination of frequent values is a row of the data
    return arbitrary_rows(columns, SYNTHETIC_ROWS, seed=SEED), "random"


def golden_of(
    engine: Engine, steps: Steps, columns: Tensors, *, source: Source, tolerance: Tolerance
) -> tuple[Golden | None, tuple[GoldenCase, ...]]:
    """Up to four cases near the decision boundary and of each class; None where no answer is steady enough.

    `columns` are rows of served datatypes, as golden_rows gives them. Of whole numbers, on which trees may split, made
    up rows are tried with numbers in between as well.
    """
    cases = _cases(engine, steps, columns, tolerance)
    if not cases and source != "data":
        cases = _cases(engine, steps, between_whole_numbers(columns), tolerance)
    if not cases:
        return None, ()
    return Golden(path=GOLDEN, source=source, cases=len(cases), tolerance=tolerance), cases


def _cases(engine: Engine, steps: Steps, columns: Tensors, tolerance: Tolerance) -> tuple[GoldenCase, ...]:
    inputs = graph_inputs(engine, steps, columns)
    try:
        outputs = renamed(steps, engine.run(inputs))
    except ExecutionError:
        # made up rows may hold what an encoder has never seen
        return ()
    rows = range(len(next(iter(inputs.values()))))
    return golden_cases(engine, row_cases(inputs, _order(steps, outputs) or rows), tolerance)


def _order(steps: Steps, outputs: Tensors) -> list[int]:
    """The most telling row of each target first, then the second of each …"""
    if not steps.targets:
        return telling_order(None, outputs.get(PREDICTION))
    names = [names_of(step.target) for step in steps.targets]
    orders = [telling_order(outputs[each.label], outputs.get(each.probabilities)) for each in names]
    return list(dict.fromkeys(chain.from_iterable(zip(*orders, strict=True))))
