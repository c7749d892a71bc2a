"""The rows that a quantized graph's answers are compared on: the data's, or the golden ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxlet.convert.evaluation import graph_inputs, renamed
from onnxlet.convert.table import read_table, truth_of
from onnxlet.engine import Engine
from onnxlet.errors import InvalidInputError
from onnxlet.golden import GoldenCase
from onnxlet.manifest import Draft, Steps
from onnxlet.tensors import Tensor, Tensors

MOST_ALONE = 256
"""Rows that are also run one by one."""


@dataclass(frozen=True)
class Rows:
    """Graph inputs, and the truth about them where it is known."""

    inputs: Tensors
    count: int
    truth: Tensor | None
    kind: str
    """`given` or `golden`, for messages."""

    def one(self, index: int) -> Tensors:
        """A row by itself."""
        return {name: tensor[index : index + 1] for name, tensor in self.inputs.items()}


@dataclass(frozen=True)
class Answers:
    """One graph's answers to all rows at once, and to the first of them one by one."""

    batch: Tensors
    alone: Tensors


def rows_of(
    draft: Draft, cases: tuple[GoldenCase, ...], engine: Engine, *, data: Path | None, target: str | None
) -> Rows | None:
    """The data's rows, else the golden ones, None without either. Raises InvalidInputError for unfit data."""
    if data is None:
        if target is not None:
            raise InvalidInputError("a target column needs --data")
        if not cases:
            return None
        inputs = {name: np.concatenate([case.inputs[name] for case in cases]) for name in cases[0].inputs}
        return Rows(inputs, len(next(iter(inputs.values()))), None, "golden")
    tabular, classification = draft.steps.tabular, draft.steps.classification
    if tabular is None:
        raise InvalidInputError("this model has no named columns, so it cannot read a CSV file: leave --data out")
    table = read_table(data)
    columns = {column.name: table.tensor(column.name, column.datatype) for column in tabular.columns}
    truth = None
    if target is not None:
        classes, labels = (classification.classes, classification.labels) if classification else (None, ())
        truth = truth_of(table, target, classes, labels)
    return Rows(graph_inputs(engine, draft.steps, columns), table.rows, truth, "given")


def answers_of(engine: Engine, steps: Steps, rows: Rows) -> Answers:
    """The engine's answers, a classifier's under common names. Raises ExecutionError, InvalidInputError as it does."""
    alone = [engine.run(rows.one(index)) for index in range(min(rows.count, MOST_ALONE))]
    together = {name: np.concatenate([answer[name] for answer in alone]) for name in alone[0]}
    return Answers(
        batch=renamed(steps.classification, engine.run(rows.inputs)), alone=renamed(steps.classification, together)
    )
