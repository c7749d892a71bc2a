"""Explanations behind predictions: `explanations`, one for each row or null, and `explained`, what holds for all."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import orjson

from onnxlet.dataplane.protocols.tensorflow_serving.body import Call
from onnxlet.errors import InvalidInputError
from onnxlet.explain.request import read_request
from onnxlet.explain.writing import check_size, write_head, write_rows
from onnxlet.serving.cancellation import Cancellation
from onnxlet.serving.model import Model

MOST_OPTIONS = 32
"""Options of a query."""


def asked_in(query: str) -> dict[str, Any]:
    """What a query asks of the pictures of a body: `overlay=true&classes=opacity`. Raises InvalidInputError."""
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=MOST_OPTIONS)
    except ValueError as error:
        raise InvalidInputError(f"the query cannot be read: {error}") from error
    asked = {name: [_value(text) for text in texts] for name, texts in fields.items()}
    return {name: values if len(values) > 1 else values[0] for name, values in asked.items()}


def _value(text: str) -> bool | float | str:
    try:
        value = orjson.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


def add_explanations(
    body: bytes, call: Call, model: Model, due: float, cancellation: Cancellation | None = None
) -> bytes:
    """The JSON of an answer with what explains it.

    Raises NotExplainableError, ResponseTooLargeError, and what predicting raises.
    """
    asked = read_request({} if call.explain is None else call.explain)
    explanation = model.explain(call.inputs, call.signature, asked, due=due, cancellation=cancellation)
    check_size(explanation)
    rows = write_rows(explanation, len(next(iter(call.inputs.values()))))
    written = orjson.dumps({"explanations": rows, "explained": write_head(explanation)})
    return body[:-1] + b"," + written[1:]
