"""The Open Inference Protocol, version 2, in JSON: health, metadata and inference.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md. The model in a path may be a ref:
`diagnosis`, or `diagnosis@candidate` for an alias; without an alias or a version `production` answers. Health answers
have JSON bodies, which KServe's client reads; others rely on the status.
"""

from __future__ import annotations

import re
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

import orjson

from onnxlet.dataplane import answering
from onnxlet.dataplane.answering import RETRY_AFTER, refuse
from onnxlet.dataplane.messages import JSON, Request, Response
from onnxlet.dataplane.protocols.open_inference.body import Call, Explained, read_body, write_answer
from onnxlet.errors import (
    InvalidInputError,
    InvalidNameError,
    MethodNotAllowedError,
    OnnxletError,
    UnavailableError,
    VersionNotFoundError,
)
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor
from onnxlet.telemetry.recording import Prediction
from onnxlet.values.refs import Ref, check_version, parse_ref
from onnxlet.values.signature import SERVING_DEFAULT, TensorSpec
from onnxlet.version import __version__

__all__ = ["answer", "refuse"]

SERVER = "/v2"
LIVE = "/v2/health/live"
READY = "/v2/health/ready"
PLATFORM = "onnx_onnxv1"
"""What the specification calls models in ONNX."""

_MODEL = re.compile(r"/v2/models/(?P<ref>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<verb>ready|infer|explain))?")


class Target(NamedTuple):
    """What a path below `/v2/models/` asks of which model: `ready`, `infer`, `explain`, or its metadata if empty."""

    ref: Ref
    verb: str


def answer(predictor: Predictor, request: Request) -> Response:
    """Answer a request to `/v2` or below. Errors are answers too, except those that nobody foresaw."""
    headers = {"Content-Type": JSON}
    try:
        if request.path in (LIVE, READY):
            return _answer_health(predictor, request, headers)
        if request.path == SERVER:
            _require_method(request, headers, "GET, HEAD")
            return Response(200, _server_metadata(), headers)
        return _answer_model(predictor, request, parse_target(request.path), headers)
    except OnnxletError as error:
        return refuse(error, headers)


def _answer_health(predictor: Predictor, request: Request, headers: dict[str, str]) -> Response:
    _require_method(request, headers, "GET, HEAD")
    if request.path == LIVE:
        return Response(200, b'{"live":true}', headers)
    try:
        predictor.ready()
    except UnavailableError:
        return Response(503, b'{"ready":false}', headers | {"Retry-After": RETRY_AFTER})
    return Response(200, b'{"ready":true}', headers)


def _server_metadata() -> bytes:
    return orjson.dumps({"name": "onnxlet", "version": __version__, "extensions": ["explain"]})


def _answer_model(predictor: Predictor, request: Request, target: Target, headers: dict[str, str]) -> Response:
    if target.verb in ("infer", "explain"):
        _require_method(request, headers, "POST")
        return Response(200, _infer(predictor, request, target, headers), headers)
    _require_method(request, headers, "GET, HEAD")
    if target.verb == "ready":
        return _answer_model_ready(predictor, target.ref, headers)
    return Response(200, _model_metadata(predictor, request, target.ref, headers), headers)


def _require_method(request: Request, headers: dict[str, str], allowed: str) -> None:
    if request.method not in allowed.split(", "):
        headers["Allow"] = allowed
        raise MethodNotAllowedError(f"'{request.path[: answering.SHOWN]}' takes {allowed}, not {request.method}")


@lru_cache(maxsize=512)
def parse_target(path: str) -> Target:
    """What a path below `/v2/models/` asks for.

    Raises RouteNotFoundError for paths that the protocol does not have, InvalidNameError for names that cannot be,
    VersionNotFoundError for versions that are no numbers.
    """
    match = _MODEL.fullmatch(path)
    if match is None:
        raise answering.no_route(path)
    ref, version = parse_ref(match["ref"]), match["version"]
    if version is not None:
        if ref.alias is not None or ref.version is not None:
            raise InvalidInputError(f"'{ref}' already says which version: leave '/versions/{version[:40]}' out")
        ref = Ref(ref.model, version=_parse_version(ref.model, version))
    return Target(ref, match["verb"] or "")


def _parse_version(model: str, text: str) -> int:
    try:
        return check_version(text)
    except InvalidNameError as error:
        raise VersionNotFoundError(
            f"model '{model}' has no version '{text[:40]}': versions are 1, 2, 3 …; ask aliases as '{model}@ALIAS'"
        ) from error


def _answer_model_ready(predictor: Predictor, ref: Ref, headers: dict[str, str]) -> Response:
    """Whether the model is servable. It need not be in memory: what is not loads with its first request."""
    try:
        predictor.check_servable(ref)
    except UnavailableError:
        body = orjson.dumps({"name": ref.model, "ready": False})
        return Response(503, body, headers | {"Retry-After": RETRY_AFTER})
    return Response(200, orjson.dumps({"name": ref.model, "ready": True}), headers)


def _model_metadata(predictor: Predictor, request: Request, ref: Ref, headers: dict[str, str]) -> bytes:
    served = answering.resolve(predictor, request, ref, headers)
    signature = served.model.signatures[SERVING_DEFAULT]
    return orjson.dumps(
        {
            "name": ref.model,
            "versions": [str(status.version) for status in predictor.statuses(ref.model)],
            "platform": PLATFORM,
            "inputs": [_tensor_metadata(spec) for spec in signature.inputs],
            "outputs": [_tensor_metadata(spec) for spec in signature.outputs],
        }
    )


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _infer(predictor: Predictor, request: Request, target: Target, headers: dict[str, str]) -> bytes:
    ref = target.ref
    served = answering.resolve(predictor, request, ref, headers)
    model, loaded = served.model, served.timings
    due = monotonic() + model.run_deadline
    _refuse_binary(request)
    call = read_body(request.body, model)
    asked = answering.outputs_to_ask(model, call.outputs)
    before = monotonic()
    outputs = model.predict(call.inputs, call.signature, asked, False, due, request.cancellation)
    run = monotonic() - before
    request.prediction = Prediction(call.signature, call.inputs, outputs, run)
    if model.tells:
        answering.write_flags(headers, model, outputs)
        outputs = {name: tensor for name, tensor in outputs.items() if call.outputs is None or name in call.outputs}
    explained = _explain(call, model, request, due) if call.explain or target.verb == "explain" else None
    body = write_answer(outputs, call, model, model_name=ref.model, version=served.version, explained=explained)
    now = monotonic()
    if now > due:
        raise model.overdue()
    if loaded is not None:
        answering.write_timings(headers, loaded, run=run, total=now - request.began)
    return body


def _explain(call: Call, model: Model, request: Request, due: float) -> Explained:
    """What explains an answer; what that takes is loaded by the first who asks."""
    from onnxlet.dataplane.protocols.open_inference.explanation import explain

    return explain(call, model, due, request.cancellation)


def _refuse_binary(request: Request) -> None:
    length = request.headers.get("inference-header-content-length")
    if length is not None and length != str(len(request.body)):
        raise InvalidInputError(
            "the binary tensor extension is not spoken here: send all tensors as JSON, and no "
            "Inference-Header-Content-Length"
        )
