"""Explanations over HTTP: what is asked beside rows, and the answer as arrays again."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from onnxlet.errors import OnnxletError
from onnxlet.explain.answer import BackgroundUsed, Explanation
from onnxlet.values.tensors import Tensor

Document = Mapping[str, Any]


def write_question(body: bytes, asked: Document) -> bytes:
    """The body of a prediction, asking for explanations too."""
    return body.rstrip()[:-1] + b',"explain":' + orjson.dumps(dict(asked)) + b"}"


def read_explanation(document: Document) -> Explanation:
    """An answer as the value that was explained there. Raises OnnxletError if it is none."""
    try:
        return _read(document["explained"], document["explanations"])
    except (KeyError, TypeError, ValueError) as error:
        raise OnnxletError(f"the server's explanation cannot be read: {error!r}") from error


def _read(head: Document, rows: list[Document | None]) -> Explanation:
    explained = [(place, row) for place, row in enumerate(rows) if row is not None]
    classes = tuple(head["expected"])
    first = explained[0][1]["attributions"] if explained else {}
    players = tuple(next(iter(first.values()), ()))
    shape = (len(explained), len(players), len(classes))

    def by_player(name: str) -> Tensor:
        values = [[[row[name][label][player] for label in classes] for player in players] for _, row in explained]
        return np.array(values, dtype=np.float64).reshape(shape)

    def by_class(name: str) -> Tensor:
        values = [[row[name][label] for label in classes] for _, row in explained]
        return np.array(values, dtype=np.float64).reshape(len(explained), len(classes))

    background = head.get("background")
    told = {name for _, row in explained for name in row}
    return Explanation(
        method=head["method"],
        output=head["output"],
        unit=head["unit"],
        rows=tuple(place for place, _ in explained),
        players=players,
        classes=classes,
        attributions=by_player("attributions"),
        expected=np.array([head["expected"][label] for label in classes], dtype=np.float64),
        predictions=by_class("prediction"),
        sum_error=head["sum_error"],
        background=None if background is None else BackgroundUsed(**background),
        seed=head.get("seed"),
        interval=by_player("interval") if "interval" in told else None,
        residual=by_class("residual") if "residual" in told else None,
        pairs=head.get("pairs"),
        unreliable=head.get("unreliable", False),
        evaluations=head["evaluations"],
        overlays=tuple(b64decode(row["overlay"]) for _, row in explained if "overlay" in row),
        grid=None if "grid" not in head else (head["grid"][0], head["grid"][1]),
    )
