"""The background of a conversion: rows that explanations compare with, which the graph answers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from onnxlet.errors import ExecutionError, InvalidInputError
from onnxlet.explain.background import MOST_BYTES, MOST_ROWS, count_rows, encode_background
from onnxlet.explain.document import BackgroundDocument, ExplanationDocument, write_document
from onnxlet.explain.players import MOST_PLAYERS
from onnxlet.serving.engine import Engine
from onnxlet.steps import Steps
from onnxlet.toolchain.convert.golden_cases import choose_golden_rows
from onnxlet.toolchain.convert.trained_model import Export, ModelRows
from onnxlet.toolchain.workbench.evaluation import run_columns
from onnxlet.values.keys import BACKGROUND
from onnxlet.values.manifest import Draft
from onnxlet.values.tensors import Tensor, Tensors

SEED = 0
TRIED = 3 * MOST_ROWS
"""Rows that are tried, of which the graph may refuse some."""
_MATRIX = 2

Background = tuple[BackgroundDocument, bytes]
"""What the manifest says of it, and its artifact."""


def make_background(
    rows: ModelRows, export: Export, steps: Steps, engine: Engine, wanted: Literal["synthetic", "data"]
) -> Background | None:
    """The background; None where rows are no columns, or the graph answers none that the version's `steps` take.

    Only the statistics of the data are used, unless `wanted` is "data": then rows of it travel with the version.
    """
    columns, kind = choose_golden_rows(rows, export, wanted)
    if sum(map(_width, columns.values())) > MOST_PLAYERS:
        return None
    order = np.random.default_rng(SEED).permutation(count_rows(columns))[:TRIED]
    chosen = _take(columns, _answered(columns, order, engine, steps)[:MOST_ROWS])
    if not count_rows(chosen):
        return None
    artifact = encode_background(chosen)
    if len(artifact) > MOST_BYTES:
        chosen = _take(chosen, np.arange(max(1, count_rows(chosen) * MOST_BYTES // len(artifact))))
        artifact = encode_background(chosen)
    return BackgroundDocument(BACKGROUND, kind, count_rows(chosen)), artifact


def with_background(draft: Draft, background: Background | None, directory: Path) -> Draft:
    """The draft with the background that is written into the directory; a note tells of rows of the data."""
    if background is None:
        return draft
    document, artifact = background
    (directory / document.path).write_bytes(artifact)
    note = "rows of the data travel with it, as the background of its explanations"
    return msgspec.structs.replace(
        draft,
        explanations=write_document(ExplanationDocument(background=document)),
        assets=tuple(sorted((*draft.assets, document.path))),
        notes=(*draft.notes, note) if document.kind == "data" else draft.notes,
    )


def _width(tensor: Tensor) -> int:
    """How many values of a row there are to explain."""
    if tensor.ndim > _MATRIX:
        return MOST_PLAYERS + 1
    return 1 if tensor.ndim == 1 else int(tensor.shape[1])


def _answered(columns: Tensors, order: Tensor, engine: Engine, steps: Steps) -> Tensor:
    """Those of the rows that the graph answers with finite numbers."""
    finite = _answers(_take(columns, order), engine, steps)
    if finite is None:
        each = [_answers(_take(columns, order[place : place + 1]), engine, steps) for place in range(len(order))]
        finite = np.array([one is not None and bool(one.all()) for one in each])
    return order[finite]


def _answers(rows: Tensors, engine: Engine, steps: Steps) -> Tensor | None:
    """Whether the answer to each row is of finite numbers; None where they are not answered."""
    try:
        answers = run_columns(engine, steps, rows)
    except (ExecutionError, InvalidInputError):
        return None
    count = count_rows(rows)
    numbers = [tensor for tensor in answers.values() if tensor.dtype.kind == "f" and tensor.shape[:1] == (count,)]
    finite = np.ones(count, dtype=bool)
    for tensor in numbers:
        finite &= np.isfinite(tensor.reshape(count, -1)).all(axis=1)
    return finite


def _take(columns: Tensors, rows: Tensor) -> Tensors:
    return {name: tensor[rows] for name, tensor in columns.items()}
