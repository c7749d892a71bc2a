"""TensorFlow Serving's REST API v1: its paths, status, metadata, error bodies and status codes.

Source: tensorflow/serving, http_rest_api_util.cc, http_rest_api_handler.cc, json_tensor.cc and http_server.cc.
Labels are aliases. Where no version or label is given, the alias `production` is meant, not the newest version; HEAD
answers as GET would; `classify` and `regress` answer what a TensorFlow model without such a signature does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from time import perf_counter
from typing import Any

import orjson

from onnxlet.dataplane.messages import Request, Response
from onnxlet.dataplane.protocols.tensorflow_serving.body import Call, read_body, write_answer
from onnxlet.errors import (
    AliasNotFoundError,
    ConflictError,
    DeadlineExceededError,
    ExecutionError,
    InvalidInputError,
    MethodNotAllowedError,
    NotFoundError,
    OnnxletError,
    StoreUnavailableError,
    TooLargeError,
    UnavailableError,
    UnknownLabelError,
    VersionNotFoundError,
)
from onnxlet.serving.predictor import Predictor, Served
from onnxlet.values.refs import MAX_VERSION, Ref, check_alias_name, check_model_name
from onnxlet.values.signature import Signature, TensorSpec

JSON = "application/json"
RETRY_AFTER = "1"
"""Seconds after which trying again may work."""

STATUSES: dict[type[OnnxletError], int] = {
    InvalidInputError: 400,
    ExecutionError: 400,
    MethodNotAllowedError: 400,
    NotFoundError: 404,
    ConflictError: 409,
    TooLargeError: 413,
    OnnxletError: 500,
    UnavailableError: 503,
    DeadlineExceededError: 504,
}
"""The status of each kind of error, and of the kinds below it unless they have their own."""

_MODEL = r"/v1/models(?:/(?P<model>[^/:]+))%s(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_CALL = re.compile(_MODEL % "" + r":(?P<verb>classify|regress|predict)", re.IGNORECASE)
_QUERY = re.compile(_MODEL % "?" + r"(?P<metadata>/metadata)?", re.IGNORECASE)
_SHOWN = 200
"""Characters of a path that an error repeats."""
_OURS = 500
"""From this status on it is not the caller who is wrong."""
_STORE_IS_DOWN = "the model store does not answer: try again later"


def answer(predictor: Predictor, request: Request) -> Response:
    """Answer a request below `/v1/`. Errors are answers too, except those that nobody foresaw."""
    headers = {"Content-Type": JSON}
    try:
        target = parse_call(request.path) if request.method == "POST" else None
        body = _look(predictor, request, headers) if target is None else _predict(predictor, request, target, headers)
    except OnnxletError as error:
        return refuse(error, headers)
    return Response(200, body, headers)


def refuse(error: OnnxletError, headers: dict[str, str] | None = None) -> Response:
    """The error's body and status, under the headers known when it was raised; what is our fault is logged."""
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    headers = {"Content-Type": JSON} if headers is None else headers
    if status >= _OURS:
        import logging

        logging.getLogger(__name__).error("%s: %s", error.title, error.detail, exc_info=error, extra={"status": status})
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = RETRY_AFTER
    # where the store lies is no caller's business
    detail = _STORE_IS_DOWN if isinstance(error, StoreUnavailableError) else error.detail
    return Response(status, error_body(detail), headers)


def error_body(detail: str) -> bytes:
    """How TensorFlow Serving says what is wrong."""
    return orjson.dumps({"error": detail.encode(errors="replace").decode()})


def _look(predictor: Predictor, request: Request, headers: dict[str, str]) -> bytes:
    """What is no prediction: status and metadata, for those who may be told."""
    if request.method in ("GET", "HEAD"):
        match = _QUERY.fullmatch(request.path)
        if match is not None:
            if match["model"] is None:
                raise InvalidInputError("missing model name in request")
            target = _target(match)
            return _metadata(predictor, target, headers) if match["metadata"] else _status(predictor, target)
    raise _malformed(request)


def _malformed(request: Request) -> MethodNotAllowedError:
    return MethodNotAllowedError(f"Malformed request: {request.method} {request.path[:_SHOWN]}")


@lru_cache(maxsize=512)
def parse_call(path: str) -> Ref | None:
    """What the path of a prediction names, or None if it is no such path.

    Raises InvalidNameError for names that cannot be, InvalidInputError for versions beyond 64 bits and other verbs.
    """
    match = _CALL.fullmatch(path)
    if match is None:
        return None
    verb = match["verb"].lower()
    if verb != "predict":
        raise InvalidInputError(f"the models here have no signature for '{verb}': use ':predict'")
    return _target(match)


def _target(match: re.Match[str]) -> Ref:
    model = check_model_name(match["model"])
    digits, label = match["version"], match["label"]
    if label is not None:
        return Ref(model, alias=check_alias_name(label))
    if digits is None:
        return Ref(model)
    if len(digits.lstrip("0")) > len(str(MAX_VERSION)) or int(digits) > MAX_VERSION:
        raise InvalidInputError(f"failed to convert version '{digits[:40]}' to numeric: it is beyond 64 bits")
    return Ref(model, version=int(digits))


# --- predict ----------------------------------------------------------------------------------------------------------


def _predict(predictor: Predictor, request: Request, target: Ref, headers: dict[str, str]) -> bytes:
    began = perf_counter()
    served, call = _read(predictor, request, target, headers)
    if served.timings is not None:
        return _predict_cold(served, call, headers, began, served.timings)
    return write_answer(served.model.predict(call.inputs, call.signature), rows=call.rows)


def _read(predictor: Predictor, request: Request, target: Ref, headers: dict[str, str]) -> tuple[Served, Call]:
    served = resolve(predictor, target, request.headers.get("x-onnxlet-routing-key"))
    name_version(served, headers)
    return served, read_body(request.body, served.model)


def _predict_cold(
    served: Served, call: Call, headers: dict[str, str], began: float, timings: dict[str, float]
) -> bytes:
    """The answer of a model that this very request loaded, and in the headers what took how long."""
    before = perf_counter()
    outputs = served.model.predict(call.inputs, call.signature)
    run = perf_counter() - before
    body = write_answer(outputs, rows=call.rows)
    took = {**timings, "run": run, "total": perf_counter() - began}
    headers["Server-Timing"] = ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in took.items())
    return body


def resolve(predictor: Predictor, target: Ref, routing_key: str | None = None) -> Served:
    """The version that answers for a path.

    Raises UnknownLabelError for a label that is no alias; ModelNotFoundError, VersionNotFoundError, AliasNotFoundError.
    """
    try:
        return predictor.served(target, routing_key)
    except AliasNotFoundError as error:
        if target.alias is None:
            raise
        raise UnknownLabelError(error.detail, **error.context) from error


def name_version(served: Served, headers: dict[str, str]) -> None:
    """Say which version answers, by which alias, and whether it is the one that should."""
    headers["X-Onnxlet-Model-Version"] = str(served.version)
    if served.alias is not None:
        headers["X-Onnxlet-Alias"] = served.alias
    if served.stale:
        headers["X-Onnxlet-Stale"] = "true"
    if served.fallback:
        headers["X-Onnxlet-Fallback"] = "true"


# --- status and metadata ----------------------------------------------------------------------------------------------


def _status(predictor: Predictor, target: Ref) -> bytes:
    wanted = target.version if target.alias is None else resolve(predictor, target).version
    found = [
        {
            "version": str(status.version),
            "state": status.state,
            "status": {"error_code": "OK", "error_message": ""},
        }
        for status in reversed(predictor.statuses(target.model))
        if wanted in (None, status.version)
    ]
    if not found:
        which = "any version" if wanted is None else f"version {wanted}"
        raise VersionNotFoundError(f"could not find {which} of model '{target.model}' that is served")
    return orjson.dumps({"model_version_status": found})


def _metadata(predictor: Predictor, target: Ref, headers: dict[str, str]) -> bytes:
    served = resolve(predictor, target)
    name_version(served, headers)
    signatures = {name: _signature_def(signature) for name, signature in served.model.signatures.items()}
    return orjson.dumps(
        {
            "model_spec": {"name": target.model, "signature_name": "", "version": str(served.version)},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }
    )


def _signature_def(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {spec.name: _tensor_info(spec) for spec in signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in spec.shape]
    return {
        "dtype": spec.type.tensorflow,
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": spec.name,
    }
