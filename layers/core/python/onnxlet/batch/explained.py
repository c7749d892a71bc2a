"""Attributions beside scored rows: columns of a table, or a document for each row where a format has such.

How a row is explained depends on no other row: what is sampled begins with the same seed for each of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxlet.batch.formats.chunks import RUN_ROWS
from onnxlet.batch.inputs import MODEL_VERSION, ROW
from onnxlet.batch.rows import RowFaultError
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.writing import write_head, write_row
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE

if TYPE_CHECKING:
    from onnxlet.batch.inputs import Inputs
    from onnxlet.batch.rows import RowModel
    from onnxlet.explain.answer import Explanation, Planned
    from onnxlet.explain.request import ExplanationRequest
    from onnxlet.serving.model import Model
    from onnxlet.values.tensors import Tensor, Tensors

EXPLANATION = "explanation"
"""The member that is a row's explanation, as HTTP answers it, and the expected values."""
MOST_NUMBERS = 2**18
"""Attributions that are computed at once."""


class Explaining:
    """How rows of one version are explained: as a request asks, and as `documents` or in columns.

    `specs` are the outputs that this adds, `head` is what holds for all rows, for their book.
    """

    def __init__(self, model: Model, request: ExplanationRequest, *, documents: bool) -> None:
        """Raises NotExplainableError, and InvalidInputError for what rows of files are not asked."""
        planned = plan_rows(model, request)
        self._model = model
        self._request = request
        self._documents = documents
        self._names = None if documents else _name_columns(planned.explanation)
        names = {EXPLANATION: "BYTES"} if self._names is None else dict.fromkeys(self._names, "FP64")
        self.specs = tuple(TensorSpec(name, datatype, (VARIABLE,)) for name, datatype in names.items())
        self.width = len(planned.explanation.players) * len(planned.explanation.classes)
        self.head = describe_plan(planned)

    def wrap(self, model: RowModel) -> ExplainedModel:
        """A model whose outputs have what this adds behind them."""
        return ExplainedModel(model, self)

    def explain(self, inputs: Tensors, signature: str) -> Tensors:
        """What is added for rows. Raises as `explain_or_blame`."""
        found = explain_or_blame(self._model, inputs, signature, self._request)
        count = len(next(iter(inputs.values())))
        if self._names is None:
            return {EXPLANATION: _write_documents(found, count)}
        return dict(zip(self._names, _list_columns(found, count), strict=True))


class ExplainedModel:
    """A model that explains what it answers."""

    def __init__(self, model: RowModel, explaining: Explaining) -> None:
        self.threads = model.threads
        self._model = model
        self._explaining = explaining

    def predict(self, inputs: Tensors, signature: str) -> Tensors:
        """What the model gives, and explanations of it. Raises as both do."""
        outputs = self._model.predict(inputs, signature)
        return {**outputs, **self._explaining.explain(inputs, signature)}


def explain_rows(inputs: Inputs, model: Model, request: ExplanationRequest, *, documents: bool) -> Inputs:
    """How a model's rows are scored where they are explained too. Raises NotExplainableError, InvalidInputError."""
    explaining = Explaining(model, request, documents=documents)
    names = [title for spec in inputs.outputs for title in (spec.name, *inputs.titles.get(spec.name, ()))]
    repeated = Counter({*names, ROW, MODEL_VERSION}) + Counter(spec.name for spec in explaining.specs)
    twice = [name for name, count in repeated.items() if count > 1]
    if twice:
        raise InvalidInputError(
            f"two columns of the output would be called {twice[0]!r}: explain one class alone, or score without"
        )
    inputs = bound_rows(inputs, explaining.width)
    return replace(inputs, outputs=(*inputs.outputs, *explaining.specs), explaining=explaining)


def plan_rows(model: Model, request: ExplanationRequest) -> Planned:
    """How rows of files will be explained. Raises NotExplainableError, and InvalidInputError for what they are not."""
    if request.max_ms is not None:
        raise InvalidInputError("explain: 'max_ms' is of one request: bound each row by 'max_evaluations'")
    return model.plan_explanations(request)


def describe_plan(planned: Planned) -> dict[str, Any]:
    """What holds for all rows: method, output, unit, expected values, background, and the cost of each."""
    head = write_head(planned.explanation)
    kept = {name: head[name] for name in head if name not in {"sum_error", "evaluations"}}
    return {**kept, "evaluations_per_row": planned.cost}


def bound_rows(inputs: Inputs, width: int) -> Inputs:
    """As many rows at once as have so many numbers each, and not too many."""
    most = min(inputs.rows_at_once or RUN_ROWS, max(1, MOST_NUMBERS // max(1, width)))
    return replace(inputs, rows_at_once=most)


def explain_or_blame(model: Model, inputs: Tensors, signature: str, request: ExplanationRequest) -> Explanation:
    """The explanation of rows. Raises RowFaultError where some cannot be explained, else as `Model.explain`."""
    try:
        return model.explain(inputs, signature, request)
    except NotExplainableError as error:
        raise RowFaultError(f"cannot be explained: {error.detail}") from error


def _name_columns(explanation: Explanation) -> tuple[str, ...]:
    """What is explained and expected of each class, then each class's attributions, then their intervals."""
    classes = [""] if len(explanation.classes) == 1 else [f"_{name}" for name in explanation.classes]
    kinds = ["attribution"] if explanation.interval is None else ["attribution", "interval"]
    heads = [f"{word}{name}" for word in ("explained", "expected") for name in classes]
    return (*heads, *(f"{kind}{name}_{player}" for kind in kinds for name in classes for player in explanation.players))


def _list_columns(explanation: Explanation, count: int) -> list[Tensor]:
    """The columns of that order, each [count]; NaN for rows that are not explained."""
    expected = np.broadcast_to(explanation.expected, explanation.predictions.shape)
    parts = [explanation.predictions, expected, explanation.attributions.transpose(0, 2, 1)]
    if explanation.interval is not None:
        parts.append(explanation.interval.transpose(0, 2, 1))
    rows = list(explanation.rows)
    found = np.concatenate([part.reshape(len(rows), prod(part.shape[1:])) for part in parts], axis=1)
    matrix = np.full((count, found.shape[1]), np.nan)
    matrix[rows] = found
    return list(matrix.T)


def _write_documents(explanation: Explanation, count: int) -> Tensor:
    """A document for each row, None for one that is not explained."""
    expected = dict(zip(explanation.classes, explanation.expected.tolist(), strict=True))
    documents = np.full(count, None, dtype=object)
    for number, row in enumerate(explanation.rows):
        documents[row] = {"expected": expected, **write_row(explanation, number)}
    return documents
