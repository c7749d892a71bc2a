"""Evaluation: a graph's answers to rows, under common names, and their metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from onnxlet.errors import RequestTooLargeError
from onnxlet.serving.engine import Engine
from onnxlet.steps import Steps
from onnxlet.steps.base import Preprocessor
from onnxlet.toolchain.workbench.metrics import point_estimates
from onnxlet.toolchain.workbench.task import Task, task_of
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.tensors import Tensor, Tensors, stack_padded

PREDICTION = "prediction"
RECORDED = ("accuracy", "f1", "auc", "dice", "iou", "rmse", "mae", "r2")
"""The metrics that a conversion records; a contract has more."""
BATCH = 64
"""Rows of tensors in one run: more images or texts take much memory."""
COLUMN_BATCH = 4096
"""Rows of columns in one run."""


def graph_inputs(engine: Engine, steps: Steps, columns: Tensors) -> Tensors:
    """Columns of served datatypes as the graph's inputs, of equal widths where these differ from text to text.

    Raises InvalidInputError if they are not the model's.
    """
    preprocessor = steps.preprocessor(steps.row_signature, engine.signature)
    if preprocessor is None:
        return columns
    if steps.most_rows is None:
        return preprocessor(columns)
    parts = list(_prepare(preprocessor, columns, steps.most_rows))
    return {name: stack_padded([part[name] for part in parts]) for name in parts[0]}


def run_columns(engine: Engine, steps: Steps, columns: Tensors) -> Tensors:
    """The graph's own outputs for the columns; a classifier's as `label` (class values) and `probabilities`, or
    `label_stage` and so on for each of its targets.

    Raises ExecutionError, InvalidInputError as the engine does.
    """
    preprocessor = steps.preprocessor(steps.row_signature, engine.signature)
    if steps.most_rows is None or preprocessor is None:
        return run_graph(engine, steps, graph_inputs(engine, steps, columns))
    # all at once would be as wide as the widest
    parts = [run_graph(engine, steps, part) for part in _prepare(preprocessor, columns, steps.most_rows)]
    return {name: stack_padded([part[name] for part in parts]) for name in parts[0]}


def run_graph(engine: Engine, steps: Steps, inputs: Tensors) -> Tensors:
    """The graph's own outputs for its own inputs, named by `name_answers`. Raises as the engine does."""
    size = BATCH if steps.columns is None else steps.most_rows or COLUMN_BATCH
    return name_answers(steps, run_in_batches(engine.run, inputs, size))


def run_in_batches(run: Callable[[Tensors], Tensors], inputs: Tensors, size: int = BATCH) -> Tensors:
    """The answers to many rows, computed `size` rows at a time, which bounds memory and how long a run takes.

    Inputs whose outputs do not count rows are run as they are.
    """
    rows = max(len(tensor) if tensor.ndim else 1 for tensor in inputs.values())
    if rows <= size:
        return run(inputs)
    parts = []
    for start in range(0, rows, size):
        part = {name: tensor[start : start + size] for name, tensor in inputs.items()}
        parts.append(run(part))
        if any(tensor.shape[:1] != (min(size, rows - start),) for tensor in parts[-1].values()):
            return run(inputs)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _prepare(prepare: Preprocessor, columns: Tensors, size: int) -> Iterator[Tensors]:
    """The graph's inputs for so many rows each, or for as many as are taken at once."""
    for part in _batches(columns, size):
        rows = len(next(iter(part.values())))
        try:
            yield prepare(part)
        except RequestTooLargeError:
            if rows == 1:
                raise
            yield from _prepare(prepare, part, (rows + 1) // 2)


def _batches(tensors: Tensors, size: int) -> Iterator[Tensors]:
    rows = len(next(iter(tensors.values())))
    for start in range(0, rows, size):
        yield {name: tensor[start : start + size] for name, tensor in tensors.items()}


def name_answers(steps: Steps, outputs: Tensors) -> Tensors:
    """A classifier's outputs, and a single other one, under common names; several, and of methods, as they are."""
    if not steps.targets and not steps.methods:
        return {PREDICTION: next(iter(outputs.values()))} if len(outputs) == 1 else outputs
    answers = {}
    for step in steps.targets:
        names = step.names
        answers[names.label] = outputs[step.label]
        if step.probabilities is not None:
            answers[names.probabilities] = outputs[step.probabilities]
    return answers | {name: outputs[name] for name in steps.methods.values()}


def measure(
    truth: Tensor | None, answers: Tensors, steps: Steps, outputs: OutputMeaning | None = None
) -> dict[str, float]:
    """Estimates of the answers against the truth, of several targets their means; none without it.

    `outputs` are what the manifest says of them. Raises InvalidInputError where they cannot be told.
    """
    if truth is None:
        return {}
    task = task_of(steps, answers, truth, outputs)
    if task.kind not in ("classification", "segmentation"):
        task = Task("regression")
    measures = task.measures(answers, truth, answers)
    measured = {} if measures is None else point_estimates(measures, len(truth))
    return {name: value for name, value in measured.items() if name in RECORDED}
