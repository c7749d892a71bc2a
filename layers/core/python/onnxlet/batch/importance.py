"""Importance over a file: how far each column moves answers on average, the mean size of its attributions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from onnxlet.batch.explained import bound_rows, describe_plan, explain_or_blame, plan_rows
from onnxlet.batch.folding import Sums, fold_file
from onnxlet.batch.inputs import inputs_of

if TYPE_CHECKING:
    from onnxlet.batch.book import RowCounts
    from onnxlet.batch.sources import Progress
    from onnxlet.explain.request import ExplanationRequest
    from onnxlet.serving.model import Model
    from onnxlet.values.tensors import Tensors


class Importance(msgspec.Struct, frozen=True):
    """The mean |attribution| of each column, by class, in the unit of what is `explained`.

    Means are over `averaged` of the rows: those that are explained, all unless a request asks for those above a
    threshold. `unreliable` is the share of these whose attributions were sampled too seldom.
    """

    importance: dict[str, dict[str, float]]
    rows: RowCounts
    averaged: int
    unreliable: float
    explained: dict[str, Any]
    model_version: str


class _Sizes:
    """A model that answers how large the attributions of its answers are."""

    def __init__(self, model: Model, request: ExplanationRequest) -> None:
        self.threads = model.threads
        self._model = model
        self._request = request

    def predict(self, inputs: Tensors, signature: str) -> Tensors:
        """Sizes [N, classes, players] of rows that are explained, 0 for others; which are. Raises as explaining."""
        found = explain_or_blame(self._model, inputs, signature, self._request)
        count, rows = len(next(iter(inputs.values()))), list(found.rows)
        sizes = np.zeros((count, len(found.classes), len(found.players)))
        explained = np.zeros(count)
        sizes[rows], explained[rows] = np.abs(found.attributions.transpose(0, 2, 1)), 1.0
        return {"sizes": sizes, "explained": explained, "unreliable": explained * found.unreliable}


def find_importance(
    model: Model, path: Path, request: ExplanationRequest, *, workers: int = 1, on_progress: Progress | None = None
) -> Importance:
    """The importance of each column over the rows of a local file, read once, by so many processes at most.

    Raises NotExplainableError, InvalidInputError.
    """
    planned = plan_rows(model, request)
    players, classes = planned.explanation.players, planned.explanation.classes
    inputs = replace(inputs_of(model), outputs=(), titles={})
    inputs = bound_rows(inputs, len(players) * len(classes))
    told, rows = fold_file(path, _Sizes(model, request), inputs, Sums(), workers=workers, on_progress=on_progress)
    averaged = int(told["explained"])
    means = told["sizes"] / max(1, averaged)
    return Importance(
        {name: dict(zip(players, each.tolist(), strict=True)) for name, each in zip(classes, means, strict=True)},
        rows,
        averaged,
        float(told["unreliable"]) / max(1, averaged),
        describe_plan(planned),
        str(model.manifest.version),
    )
