"""Importance: how much answers hang on each column, over rows of the data and over those that are answered worst.

Means over rows alone are told: one row's attributions would tell its values. Whoever asks gets those of the worst too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from onnxlet.errors import OnnxletError
from onnxlet.explain.answer import Explanation
from onnxlet.explain.request import ExplanationRequest
from onnxlet.serving.engine import Engine
from onnxlet.serving.model import Model
from onnxlet.toolchain.workbench.task import Task
from onnxlet.values.manifest import Draft, Manifest
from onnxlet.values.signature import SERVING_DEFAULT
from onnxlet.values.tensors import Tensor, Tensors

ROWS = 100
"""Rows whose attributions are averaged, in steps through the data."""
WORST = 20
"""Rows that are answered worst, beside them."""
EVALUATIONS = 2_000
"""Of the model, for a row."""
MILLISECONDS = 20_000.0
"""For all rows."""
SHOWN = 15
PICTURES = "image"
SHOWN_OF_A_ROW = 6


@dataclass(frozen=True)
class ExplainedRow:
    """One row, by its position among those that judge: what is explained of it, and what moves that the most."""

    row: int
    column: str
    answer: float
    expected: float
    moves: list[tuple[str, float]]


@dataclass(frozen=True)
class Importance:
    """Mean |attribution| by column, the largest first: over `rows` rows, and over the `worst_rows` worst.

    `each` are the worst rows one by one, as far as they were asked for.
    """

    unit: str
    method: str
    output: str
    rows: int
    worst_rows: int
    columns: list[tuple[str, float, float]]
    each: list[ExplainedRow]


def importance_of(
    directory: Path, draft: Draft, engine: Engine, given: Tensors, errors: Tensor, *, explain_rows: int = 0
) -> Importance | str:
    """The importance of each column, by explaining some rows, and `explain_rows` one by one; or why it is not known.

    `given` are the rows [N, …] as the graph's inputs or as columns, `errors` [N] how badly each is answered.
    """
    if any(step["kind"] == PICTURES for step in draft.steps):
        return "pictures have heatmaps, which onnxlet explain draws one by one"
    if draft.explanations is None or "background" not in draft.explanations:
        return "the model has no background to compare rows with"
    count = len(errors)
    worst = np.argsort(-errors, kind="stable")[: min(max(WORST, explain_rows), count)]
    spread = np.unique(np.linspace(0, count - 1, min(ROWS, count)).astype(int))
    try:
        model = _model(directory, draft, engine)
        head = _explained(model, given, spread)
        of_worst = _explained(model, given, worst)
    except OnnxletError as error:
        return error.detail
    sizes, among_worst = (np.abs(each.attributions).mean(axis=(0, 2)) for each in (head, of_worst))
    order = np.argsort(-sizes, kind="stable")[:SHOWN]
    columns = [(head.players[place], float(sizes[place]), float(among_worst[place])) for place in order]
    each = [_row(of_worst, number, int(worst[number])) for number in range(min(explain_rows, len(worst)))]
    return Importance(head.unit, head.method, head.output, len(spread), len(worst), columns, each)


def in_data(importance: Importance, rows: Tensor) -> Importance:
    """The same where the rows that judge are those at `rows` of the data."""
    return replace(importance, each=[replace(each, row=int(rows[each.row])) for each in importance.each])


def errors_of(reference: Tensors, candidate: Tensors, truth: Tensor | None, task: Task) -> Tensor:
    """How badly each row [N] is answered: by its truth where it is one class or number, else by how far it moved."""
    rows = len(next(iter(candidate.values())))
    if truth is not None and len(task.targets) == 1 and truth.ndim == 1:
        [(target, known)] = task.targets_with_truth(truth)
        shares = candidate.get(target.answers.probabilities)
        if shares is not None:
            own: Tensor = 1 - shares[np.arange(len(shares)), target.positions(known)]
            return own
    moved = np.zeros(rows)
    for name, tensor in candidate.items():
        right = truth if task.kind == "regression" and truth is not None and truth.ndim == 1 else reference[name]
        if tensor.dtype.kind == "f" and len(tensor) == len(right) == rows and tensor[0].size == right[0].size:
            apart = np.abs(tensor.astype(np.float64).reshape(rows, -1) - right.reshape(rows, -1))
            moved = np.maximum(moved, np.nan_to_num(apart).max(axis=1, initial=0.0))
    return moved


def _model(directory: Path, draft: Draft, engine: Engine) -> Model:
    """The draft as a version would be, in memory, without the tables that publishing makes."""
    fields = {name: getattr(draft, name) for name in Draft.__struct_fields__}
    manifest = Manifest(**fields, model=directory.name, version=1, created="", publisher="", artifacts=())
    return Model(
        manifest, engine, lambda path: (directory / path).read_bytes(), lambda path: str(directory / Path(path).name)
    )


def _explained(model: Model, given: Tensors, rows: Tensor) -> Explanation:
    """The explanation of some rows."""
    taken = {name: tensor[rows] for name, tensor in given.items()}
    signature = SERVING_DEFAULT
    if len(taken) > 1 or not model.steps.columns:
        # a graph has columns of its own as [N, 1]
        taken = {name: tensor.reshape(-1) if tensor.shape[1:] == (1,) else tensor for name, tensor in taken.items()}
        signature = model.steps.row_signature
    request = ExplanationRequest(max_evaluations=EVALUATIONS, max_ms=MILLISECONDS)
    return model.explain(taken, signature, request)


def _row(explained: Explanation, number: int, row: int) -> ExplainedRow:
    """One row's explanation, of the class that it is answered with."""
    of = int(np.argmax(explained.predictions[number]))
    values = explained.attributions[number, :, of]
    order = np.argsort(-np.abs(values), kind="stable")[:SHOWN_OF_A_ROW]
    return ExplainedRow(
        row,
        explained.classes[of],
        float(explained.predictions[number, of]),
        float(explained.expected[of]),
        [(explained.players[place], float(values[place])) for place in order],
    )
