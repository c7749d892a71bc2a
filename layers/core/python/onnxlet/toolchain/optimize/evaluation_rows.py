"""Evaluation rows: what quantized graphs are compared on, rows of the data, golden rows, or random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from onnxlet.errors import InvalidInputError, RejectedModelError
from onnxlet.serving.engine import Engine
from onnxlet.serving.golden import GoldenCase
from onnxlet.steps import Steps
from onnxlet.toolchain.workbench.data import Data, Target
from onnxlet.toolchain.workbench.evaluation import name_answers, run_graph
from onnxlet.toolchain.workbench.evaluation_data import Group, read_evaluation_data
from onnxlet.toolchain.workbench.random_inputs import random_inputs
from onnxlet.toolchain.workbench.reference import SOURCE
from onnxlet.toolchain.workbench.slices import Slicing
from onnxlet.toolchain.workbench.splitting import stratify
from onnxlet.values.manifest import Draft
from onnxlet.values.tensors import Tensor, Tensors, stack_padded

MOST_ALONE = 256
"""Rows that are also run one by one."""
FEWEST_ALONE = 8
ALONE_SECONDS = 2.0
RANDOM_ROWS = 32


@dataclass(frozen=True)
class EvaluationRows:
    """Graph inputs with the truth, the model's own answers and the slicings, as far as they are known."""

    inputs: Tensors
    count: int
    truth: Tensor | None
    kind: str
    """`given`, `golden` or `random`, for messages."""
    source: Tensors | None = None
    slicings: tuple[Slicing, ...] = ()
    digest: str = ""
    """The digest of the data."""
    groups: Tensor | None = None
    """The group of each row, whose rows stay together where rows are split."""

    def one(self, index: int) -> Tensors:
        """The inputs of one row."""
        return {name: tensor[index : index + 1] for name, tensor in self.inputs.items()}

    def take(self, rows: Tensor) -> EvaluationRows:
        """The rows at these positions."""
        return replace(
            self,
            inputs=take(self.inputs, rows),
            count=len(rows),
            truth=None if self.truth is None else self.truth[rows],
            source=None if self.source is None else take(self.source, rows),
            slicings=tuple(slicing.take(rows) for slicing in self.slicings),
            groups=None if self.groups is None else self.groups[rows],
        )

    def strata(self) -> Tensor:
        """The stratum of each row: by the truth, else by the model's own labels, and by every slicing."""
        labels = [answer for answer in (self.source or {}).values() if answer.dtype.kind != "f"]
        known = self.truth if self.truth is not None else next(iter(labels), None)
        first = np.zeros(self.count, dtype=np.int64) if known is None else stratify(known)
        return stratify(np.array([first.tolist(), *(each.values for each in self.slicings)], dtype=object).T)

    def repeated(self, count: int) -> Tensors:
        """The inputs of exactly `count` rows; they are repeated if there are fewer."""
        chosen = np.arange(count) % self.count
        return {name: tensor[chosen] for name, tensor in self.inputs.items()}


@dataclass(frozen=True)
class GraphAnswers:
    """One graph's answers to all rows at once, and to the first of them one by one."""

    batch: Tensors
    alone: Tensors


def take(tensors: Tensors, rows: Tensor) -> Tensors:
    """The tensors' rows at these positions."""
    return {name: tensor[rows] for name, tensor in tensors.items()}


def join(parts: Sequence[Tensors]) -> Tensors:
    """Answers to several parts of the rows as answers to all of these."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def choose_rows(
    directory: Path,
    draft: Draft,
    cases: tuple[GoldenCase, ...],
    engine: Engine,
    *,
    data: Data | None,
    target: Target,
    slices: Sequence[str] = (),
    group: Group | None = None,
) -> EvaluationRows | None:
    """Choose rows of the data, else golden ones, else random ones; None if the graph fails on random ones.

    Raises InvalidInputError for unfit data.
    """
    if data is not None:
        evaluation = read_evaluation_data(directory, draft, engine, data, target)
        known = None if draft.reference is None else evaluation.reference
        source = None if known is None else known.stages.get(SOURCE)
        return EvaluationRows(
            evaluation.inputs,
            evaluation.rows,
            evaluation.truth,
            "given",
            source,
            tuple(evaluation.slicings(slices)),
            evaluation.digest,
            None if group is None else evaluation.groups(group),
        )
    if target is not None and len(target):
        raise InvalidInputError("a target column needs --data")
    if slices:
        raise InvalidInputError("a slice is a column of --data: give that too")
    if group is not None:
        raise InvalidInputError("a group is a column of --data: give that too")
    if cases:
        inputs = {name: stack_padded([case.inputs[name] for case in cases]) for name in cases[0].inputs}
        return EvaluationRows(inputs, _count(inputs), None, "golden")
    try:
        inputs = random_inputs(engine, seed=0, rows=RANDOM_ROWS)
    except RejectedModelError:
        return None
    return EvaluationRows(inputs, _count(inputs), None, "random")


def run_rows(engine: Engine, steps: Steps, rows: EvaluationRows, alone: int) -> GraphAnswers:
    """The engine's answers, to the first rows also one by one; a classifier's under common names.

    Raises ExecutionError, InvalidInputError as the engine does.
    """
    single = [engine.run(rows.one(index)) for index in range(alone)]
    together = {name: np.concatenate([np.atleast_1d(answer[name]) for answer in single]) for name in single[0]}
    return GraphAnswers(batch=run_graph(engine, steps, rows.inputs), alone=name_answers(steps, together))


def count_single_rows(engine: Engine, rows: EvaluationRows) -> int:
    """How many rows can be run one by one in ALONE_SECONDS. Raises ExecutionError as the engine does."""
    started = perf_counter()
    engine.run(rows.one(0))
    affordable = int(ALONE_SECONDS / max(perf_counter() - started, 1e-9))
    return min(rows.count, MOST_ALONE, max(affordable, FEWEST_ALONE))


def _count(inputs: Mapping[str, Tensor]) -> int:
    return len(next(iter(inputs.values())))
