"""POST /text/{model} with a number in each line; the answer is a number in each line, an error is a line of words."""

from __future__ import annotations

import numpy as np

from onnxlet.dataplane import answering
from onnxlet.dataplane.messages import Request, Response
from onnxlet.errors import InvalidInputError, OnnxletError
from onnxlet.serving.predictor import Predictor
from onnxlet.values.refs import parse_ref

TEXT = "text/plain; charset=utf-8"


def answer(predictor: Predictor, request: Request) -> Response:
    """Predict, or raise what is wrong."""
    _, _, model = request.path.partition("/text/")
    if not model or "/" in model:
        raise answering.no_route(request.path)
    headers = {"Content-Type": TEXT}
    served = answering.resolve(predictor, request, parse_ref(model), headers)
    lines = request.body.split()
    if b"crash" in lines:
        raise ZeroDivisionError("nobody foresaw this")
    try:
        numbers = np.array([float(line) for line in lines], np.float32)
    except ValueError as error:
        return refuse(InvalidInputError(str(error)), headers)
    [output] = served.model.predict({"x": numbers}).values()
    return Response(200, "".join(f"{number}\n" for number in output.tolist()).encode(), headers)


def refuse(error: OnnxletError, headers: dict[str, str] | None = None) -> Response:
    """The error in a line of words."""
    response = answering.refuse(error, headers, write=lambda detail: f"sorry: {detail}\n".encode())
    response.headers["Content-Type"] = TEXT
    return response
