"""Explanations behind predictions: `explanations`, one for each row or null, and `explained`, what holds for all."""

from __future__ import annotations

import orjson

from onnxlet.dataplane.protocols.tensorflow_serving.body import Call
from onnxlet.explain.request import read_request
from onnxlet.explain.writing import write_head, write_rows
from onnxlet.serving.cancellation import Cancellation
from onnxlet.serving.model import Model


def add_explanations(
    body: bytes, call: Call, model: Model, due: float, cancellation: Cancellation | None = None
) -> bytes:
    """The JSON of an answer with what explains it. Raises NotExplainableError, and what predicting raises."""
    asked = read_request({} if call.explain is None else call.explain)
    explanation = model.explain(call.inputs, call.signature, asked, due=due, cancellation=cancellation)
    rows = write_rows(explanation, len(next(iter(call.inputs.values()))))
    written = orjson.dumps({"explanations": rows, "explained": write_head(explanation)})
    return body[:-1] + b"," + written[1:]
