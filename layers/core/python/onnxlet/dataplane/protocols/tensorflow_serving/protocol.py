"""TensorFlow Serving's REST API v1: its paths, status, metadata, error bodies and status codes.

Source: tensorflow/serving, http_rest_api_util.cc, http_rest_api_handler.cc, json_tensor.cc and http_server.cc.
Labels are aliases. Where no version or label is given, the alias `production` is meant, not the newest version; HEAD
answers as GET would; `classify` and `regress` answer what a TensorFlow model without such a signature does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from time import monotonic
from typing import Any

import orjson

from onnxlet.dataplane import answering
from onnxlet.dataplane.messages import JSON, Request, Response
from onnxlet.dataplane.protocols.tensorflow_serving.body import Call, call_of_pictures, read_body, write_answer
from onnxlet.errors import (
    AliasNotFoundError,
    InvalidInputError,
    MethodNotAllowedError,
    OnnxletError,
    UnknownLabelError,
    VersionNotFoundError,
)
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor
from onnxlet.telemetry.recording import Prediction
from onnxlet.values.refs import MAX_VERSION, Ref, check_alias_name, check_model_name
from onnxlet.values.signature import Signature, TensorSpec

STATUSES = answering.STATUSES | {MethodNotAllowedError: 400}
"""The status of each kind of error, as TensorFlow Serving has it."""

_MODEL = r"/v1/models(?:/(?P<model>[^/:]+))%s(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_CALL = re.compile(_MODEL % "" + r":(?P<verb>classify|regress|predict|explain)", re.IGNORECASE)
_QUERY = _MODEL % "?" + r"(?P<metadata>/metadata)?"
"""Compiled when it is first needed: a cold start need not wait for it."""


def answer(predictor: Predictor, request: Request) -> Response:
    """Answer a request below `/v1/`. Errors are answers too, except those that nobody foresaw."""
    headers: dict[str, str] = {}
    try:
        target = parse_call(request.path) if request.method == "POST" else None
        body = _look(predictor, request, headers) if target is None else _predict(predictor, request, target, headers)
    except AliasNotFoundError as error:
        label = "/labels/" in request.path.lower()
        return refuse(UnknownLabelError(error.detail, **error.context) if label else error, headers)
    except OnnxletError as error:
        return refuse(error, headers)
    headers["Content-Type"] = JSON
    return Response(200, body, headers)


def refuse(error: OnnxletError, headers: dict[str, str] | None = None) -> Response:
    """The error's body and status, under the headers known when it was raised."""
    return answering.refuse(error, headers, statuses=STATUSES)


def _look(predictor: Predictor, request: Request, headers: dict[str, str]) -> bytes:
    """What is no prediction: status and metadata, for those who may be told."""
    if request.method in ("GET", "HEAD"):
        match = re.fullmatch(_QUERY, request.path, re.IGNORECASE)
        if match is not None:
            if match["model"] is None:
                raise InvalidInputError("missing model name in request")
            target = _target(match)
            if match["metadata"]:
                return _metadata(predictor, request, target, headers)
            return _status(predictor, request, target)
    raise _malformed(request)


def _malformed(request: Request) -> MethodNotAllowedError:
    return MethodNotAllowedError(f"Malformed request: {request.method} {request.path[: answering.SHOWN]}")


@lru_cache(maxsize=512)
def parse_call(path: str) -> tuple[Ref, bool] | None:
    """What the path of a prediction names, and whether it asks for explanations; None if it is no such path.

    Raises InvalidNameError for names that cannot be, InvalidInputError for versions beyond 64 bits and other verbs.
    """
    match = _CALL.fullmatch(path)
    if match is None:
        return None
    verb = match["verb"].lower()
    if verb not in ("predict", "explain"):
        raise InvalidInputError(f"the models here have no signature for '{verb}': use ':predict'")
    return _target(match), verb == "explain"


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


def _predict(predictor: Predictor, request: Request, target: tuple[Ref, bool], headers: dict[str, str]) -> bytes:
    ref, explains = target
    served = answering.resolve(predictor, request, ref, headers)
    model, loaded = served.model, served.timings
    due = monotonic() + model.run_deadline
    call = _read_pictures(request, model, explains) if model.encoded else read_body(request.body, model)
    before = monotonic()
    outputs = model.predict(call.inputs, call.signature, None, call.finite, due, request.cancellation)
    run = monotonic() - before
    request.prediction = Prediction(call.signature, call.inputs, outputs, run)
    if model.tells:
        answering.write_flags(headers, model, outputs)
    body = write_answer(outputs, call.rows)
    if explains or call.explain is not None:
        from onnxlet.dataplane.protocols.tensorflow_serving.explanation import add_explanations

        body = add_explanations(body, call, model, due, request.cancellation)
    now = monotonic()
    if now > due:
        raise model.overdue()
    if loaded is not None:
        answering.write_timings(headers, loaded, run=run, total=now - request.began)
    return body


def _read_pictures(request: Request, model: Model, explains: bool) -> Call:
    """Read a body of pictures as it is, or one in JSON."""
    from onnxlet.dataplane.codec.pictures import pictures_in

    pictures = pictures_in(request)
    if pictures is None:
        return read_body(request.body, model)
    call = call_of_pictures(pictures, model)
    if explains and request.query:
        from onnxlet.dataplane.protocols.tensorflow_serving.explanation import asked_in

        call.explain = asked_in(request.query)
    return call


# --- status and metadata ----------------------------------------------------------------------------------------------


def _status(predictor: Predictor, request: Request, target: Ref) -> bytes:
    version = target.version if target.alias is None else answering.resolve(predictor, request, target, {}).version
    statuses = [
        {
            "version": str(status.version),
            "state": status.state,
            "status": {"error_code": "OK", "error_message": ""},
        }
        for status in reversed(predictor.statuses(target.model))
        if version in (None, status.version)
    ]
    if not statuses:
        which = "any version" if version is None else f"version {version}"
        raise VersionNotFoundError(f"could not find {which} of model '{target.model}' that is served")
    return orjson.dumps({"model_version_status": statuses})


def _metadata(predictor: Predictor, request: Request, target: Ref, headers: dict[str, str]) -> bytes:
    served = answering.resolve(predictor, request, target, headers)
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
