"""What wire protocols share: finding the model, saying in headers which version answers, and refusing."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

import numpy as np
import orjson

from onnxlet.dataplane.messages import JSON, Request, Response
from onnxlet.errors import (
    AccessDeniedError,
    ConflictError,
    DeadlineExceededError,
    ExecutionError,
    InvalidInputError,
    MethodNotAllowedError,
    NotAcceptableError,
    NotExplainableError,
    NotFoundError,
    OnnxletError,
    RouteNotFoundError,
    StoreUnavailableError,
    TooLargeError,
    UnavailableError,
)
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor, Served
from onnxlet.steps.base import FLAGS as FLAGS_OUTPUT
from onnxlet.values.headers import FLAGS, ROUTING_KEY
from onnxlet.values.refs import Ref
from onnxlet.values.signature import SERVING_DEFAULT
from onnxlet.values.tensors import Tensors

RETRY_AFTER = "1"
"""Seconds after which trying again may work."""

STATUSES: dict[type[OnnxletError], int] = {
    InvalidInputError: 400,
    ExecutionError: 400,
    NotExplainableError: 422,
    AccessDeniedError: 403,
    NotFoundError: 404,
    MethodNotAllowedError: 405,
    NotAcceptableError: 406,
    ConflictError: 409,
    TooLargeError: 413,
    OnnxletError: 500,
    UnavailableError: 503,
    DeadlineExceededError: 504,
}
"""The status of each kind of error, and of the kinds below it unless they have their own."""

_ROUTING_KEY = ROUTING_KEY.lower()
"""As requests carry it here: names of headers are lower case."""
SHOWN = 200
"""Characters of a path that an error repeats."""
_STORE_IS_DOWN = "the model store does not answer: try again later"


def resolve(predictor: Predictor, request: Request, ref: Ref, headers: dict[str, str]) -> Served:
    """The model that answers for `ref`. The answer's headers say which version it is, by which alias, and whether it is
    the one that should answer.

    Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError, and what loading a model raises.
    """
    request.model = ref.model
    routing_key = request.headers[_ROUTING_KEY] if _ROUTING_KEY in request.headers else None  # noqa: SIM401 - `get` is slower
    served = request.served = predictor.served(ref, routing_key)
    headers |= served.headers
    return served


def choose_signature(model: Model, names: Container[str]) -> str:
    """The signature that inputs of these names are for: the first that takes one of them, else the first that steps
    open, be it of columns or of pictures.
    """
    if len(model.signatures) > 1:
        for name, signature in model.signatures.items():
            if any(spec.name in names for spec in signature.inputs):
                return name
        return next(name for name in model.signatures if name != SERVING_DEFAULT)
    return SERVING_DEFAULT


def outputs_to_ask(model: Model, named: list[str] | None) -> list[str] | None:
    """The outputs that a caller names, and those whose rows are counted; None: all."""
    return named if named is None or not model.tells else list(dict.fromkeys((*named, *model.tells)))


def write_flags(headers: dict[str, str], model: Model, outputs: Tensors) -> None:
    """Say in the headers of which columns rows are flagged, if the version flags some, and in how many rows."""
    flags = outputs.get(FLAGS_OUTPUT) if FLAGS_OUTPUT in model.tells else None
    if flags is not None and np.any(flags != ""):
        from onnxlet.steps.ranges import flags_header

        headers[FLAGS] = flags_header(flags)


def write_timings(headers: dict[str, str], timings: Mapping[str, float], *, run: float, total: float) -> None:
    """Say in the headers of an answer whose model this very request loaded what took how many seconds.

    `timings` are those of the loading, `run` is the model's own, `total` the whole request's.
    """
    seconds = {**timings, "run": run, "total": total}
    headers["Server-Timing"] = ", ".join(f"{name};dur={value * 1000:.1f}" for name, value in seconds.items())


def no_route(path: str) -> RouteNotFoundError:
    """The error for a path that nothing answers."""
    return RouteNotFoundError(f"nothing answers at '{path[:SHOWN]}'")


def error_body(detail: str) -> bytes:
    """The JSON in which most protocols say what is wrong."""
    return orjson.dumps({"error": detail.encode(errors="replace").decode()})


def status_of(error: OnnxletError, statuses: Mapping[type[OnnxletError], int] = STATUSES) -> int:
    """The status of an error."""
    return next(statuses[kind] for kind in type(error).__mro__ if kind in statuses)


def refuse(
    error: OnnxletError,
    headers: dict[str, str] | None = None,
    *,
    statuses: Mapping[type[OnnxletError], int] = STATUSES,
    write: Callable[[str], bytes] = error_body,
) -> Response:
    """The error as an answer, under the headers known when it was raised.

    `write` makes the protocol's body of what the caller is told.
    """
    status = status_of(error, statuses)
    headers = {} if headers is None else headers
    headers["Content-Type"] = JSON
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = RETRY_AFTER
    # where the store lies is no caller's business
    body = write(_STORE_IS_DOWN if isinstance(error, StoreUnavailableError) else error.detail)
    return Response(status, body, headers, error)
