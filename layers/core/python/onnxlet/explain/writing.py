"""An explanation as documents of names and numbers, for JSON: what all rows share, and what each row has."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec

from onnxlet.errors import ResponseTooLargeError
from onnxlet.explain.answer import Explanation
from onnxlet.values.tensors import Tensor

Document = dict[str, Any]

MOST_ATTRIBUTIONS = 2**19
"""Attributions of an answer in JSON: more fit in none that Lambda carries, also compressed, and take much memory."""


def check_size(explanation: Explanation) -> None:
    """Raises ResponseTooLargeError for more attributions than are answered in JSON."""
    count = explanation.attributions.size
    if count > MOST_ATTRIBUTIONS:
        raise ResponseTooLargeError(
            f"response too large: {count:,} attributions, at most {MOST_ATTRIBUTIONS:,} can be answered: explain fewer "
            "rows or classes per call"
        )


def write_head(explanation: Explanation) -> Document:
    """What holds for all rows: method, output and unit, expected values by class, background, seed, sum check."""
    background = explanation.background
    head: Document = {
        "method": explanation.method,
        "output": explanation.output,
        "unit": explanation.unit,
        "expected": dict(zip(explanation.classes, explanation.expected.tolist(), strict=True)),
        "background": None if background is None else msgspec.structs.asdict(background),
        "sum_error": explanation.sum_error,
        "evaluations": explanation.evaluations,
    }
    if explanation.seed is not None:
        head |= {"seed": explanation.seed, "unreliable": explanation.unreliable}
    if explanation.pairs is not None:
        head["pairs"] = explanation.pairs
    if explanation.grid is not None:
        head["grid"] = explanation.grid
    return head


def write_rows(explanation: Explanation, count: int) -> list[Document | None]:
    """A document for each of `count` rows that were sent; None for those that are not explained."""
    written: list[Document | None] = [None] * count
    for number, row in enumerate(explanation.rows):
        written[row] = write_row(explanation, number)
    return written


def write_row(explanation: Explanation, number: int) -> Document:
    """One explained row, by class: its prediction, and the attribution of each player."""
    players, classes = explanation.players, explanation.classes
    document: Document = {
        "prediction": dict(zip(classes, explanation.predictions[number].tolist(), strict=True)),
        "attributions": _by_class(classes, players, explanation.attributions[number]),
    }
    if explanation.interval is not None:
        document["interval"] = _by_class(classes, players, explanation.interval[number])
    if explanation.residual is not None:
        document["residual"] = dict(zip(classes, explanation.residual[number].tolist(), strict=True))
    if explanation.overlays:
        document["overlay"] = b64encode(explanation.overlays[number]).decode()
    return document


def _by_class(classes: Sequence[str], players: Sequence[str], values: Tensor) -> Document:
    return {
        name: dict(zip(players, column, strict=True)) for name, column in zip(classes, values.T.tolist(), strict=True)
    }
