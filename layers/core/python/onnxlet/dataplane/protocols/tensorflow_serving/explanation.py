"""Explanations behind predictions: `explanations`, one for each row or null, and `explained`, what holds for all."""

from __future__ import annotations

import orjson

from onnxlet.dataplane.protocols.tensorflow_serving.body import Call
from onnxlet.errors import ResponseTooLargeError
from onnxlet.explain.request import read_request
from onnxlet.explain.writing import write_head, write_rows
from onnxlet.serving.cancellation import Cancellation
from onnxlet.serving.model import Model

MOST_ATTRIBUTIONS = 2**19
"""Attributions of an answer: more fit in none that Lambda carries, also compressed, and take much memory as JSON."""


def add_explanations(
    body: bytes, call: Call, model: Model, due: float, cancellation: Cancellation | None = None
) -> bytes:
    """The JSON of an answer with what explains it.

    Raises NotExplainableError, ResponseTooLargeError, and what predicting raises.
    """
    asked = read_request({} if call.explain is None else call.explain)
    explanation = model.explain(call.inputs, call.signature, asked, due=due, cancellation=cancellation)
    count = explanation.attributions.size
    if count > MOST_ATTRIBUTIONS:
        raise ResponseTooLargeError(
            f"response too large: {count:,} attributions, at most {MOST_ATTRIBUTIONS:,} can be answered: explain fewer "
            "rows or classes per call"
        )
    rows = write_rows(explanation, len(next(iter(call.inputs.values()))))
    written = orjson.dumps({"explanations": rows, "explained": write_head(explanation)})
    return body[:-1] + b"," + written[1:]
