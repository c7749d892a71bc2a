"""POST /text/{model} with a number in each line; the answer is a number in each line, an error is a line of words.

With `?stream` each line is answered as soon as it is known. There `wait` in a line waits until somebody asks
GET /text/go, and GET /text/closed waits until a stream has ended. With `?bytes` the answer is the numbers' own bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from onnxlet.dataplane import answering
from onnxlet.dataplane.messages import Request, Response
from onnxlet.errors import InvalidInputError, OnnxletError
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor
from onnxlet.values.refs import parse_ref

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"

go = threading.Event()
closed = threading.Event()
"""Set when a stream has ended, whatever ended it."""


def answer(predictor: Predictor, request: Request) -> Response:
    """Predict, or raise what is wrong."""
    _, _, model = request.path.partition("/text/")
    if not model or "/" in model:
        raise answering.no_route(request.path)
    if request.method == "GET":
        return control(model)
    headers = {"Content-Type": TEXT}
    served = answering.resolve(predictor, request, parse_ref(model), headers)
    lines, wish = request.body.split(), request.query.removesuffix("=")
    if wish == "stream":
        return Response(200, stream(served.model, lines), headers)
    if b"crash" in lines:
        raise ZeroDivisionError("nobody foresaw this")
    try:
        numbers = predict(served.model, lines)
    except ValueError as error:
        return refuse(InvalidInputError(str(error)), headers)
    if wish == "bytes":
        return Response(200, numbers.tobytes(), headers | {"Content-Type": BYTES})
    return Response(200, "".join(f"{number}\n" for number in numbers.tolist()).encode(), headers)


def control(wish: str) -> Response:
    """Let streams go on, or wait for the end of one."""
    if wish == "go":
        go.set()
        return Response(204)
    return Response(204 if closed.wait(20) else 504)


def predict(model: Model, lines: list[bytes]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """What the model answers to the lines' numbers."""
    [output] = model.predict({"x": np.array([float(line) for line in lines], np.float32)}).values()
    return output


def stream(model: Model, lines: list[bytes]) -> Iterator[bytes]:
    """Line by line."""
    try:
        for line in lines:
            if line == b"crash":
                raise ZeroDivisionError("nobody foresaw this")
            if line == b"wait":
                assert go.wait(20)
            else:
                yield f"{predict(model, [line])[0]}\n".encode()
    finally:
        closed.set()


def refuse(error: OnnxletError, headers: dict[str, str] | None = None) -> Response:
    """The error in a line of words."""
    response = answering.refuse(error, headers, write=lambda detail: f"sorry: {detail}\n".encode())
    response.headers["Content-Type"] = TEXT
    return response
