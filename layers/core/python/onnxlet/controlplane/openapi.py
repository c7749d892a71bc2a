"""The OpenAPI document: the control plane's own routes, and the data plane's, which no framework stands in front of.

The data plane speaks TensorFlow Serving's REST API, version 1 (tensorflow/serving, g3doc/api_rest.md), and the health
routes of the Open Inference Protocol, version 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from onnxlet.controlplane.schemas import (
    AliasList,
    History,
    ModelList,
    ModelOverview,
    Problem,
    ProblemKind,
    ProblemKinds,
    VersionList,
)
from onnxlet.values.aliases import Alias, HistoryEntry
from onnxlet.values.manifest import Manifest

PROBLEM = "application/problem+json"
"""The media type of problem documents."""

_SCHEMA_REF = "#/components/schemas/"
_READ = (
    *(Alias, AliasList, History, HistoryEntry, Manifest, ModelList, ModelOverview),
    *(Problem, ProblemKind, ProblemKinds, VersionList),
)

Json = dict[str, Any]


def responses(document: type | None, *, status: int = 200, etag: bool = False) -> dict[int | str, Json]:
    """What a route answers: `document` with `status`, or a problem."""
    success: Json = {"description": (document.__doc__ or "").strip() if document else "Done."}
    if document is not None:
        success["content"] = _json(_ref(document.__name__))
    if etag:
        success["headers"] = {
            "ETag": {"description": "Of this state; send it as If-Match.", "schema": {"type": "string"}}
        }
    problem = {"description": "A problem (RFC 9457).", "content": {PROBLEM: {"schema": _ref("Problem")}}}
    return {status: success, "default": problem}


def complete(document: Json) -> Json:
    """Add to FastAPI's own `document` the schemas of what is read, and the data plane."""
    _, read = msgspec.json.schema_components(_READ, ref_template=_SCHEMA_REF + "{name}")
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= read | _SCHEMAS
    document["paths"] = _data_plane() | document["paths"]
    return document


def _ref(name: str) -> Json:
    return {"$ref": _SCHEMA_REF + name}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _parameter(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_MODEL = _parameter("model", "The model's name.", {"type": "string", "example": "diagnosis"})
_TARGETS: Mapping[str, tuple[str, str, list[Json]]] = {
    "": ("", "the alias `production`", [_MODEL]),
    "Version": (
        "/versions/{version}",
        "a version, while it is servable",
        [_MODEL, _parameter("version", "The version's number.", {"type": "integer", "format": "int64", "minimum": 1})],
    ),
    "Label": (
        "/labels/{label}",
        "an alias, which TensorFlow Serving calls a label",
        [_MODEL, _parameter("label", "The alias.", {"type": "string", "example": "candidate"})],
    ),
}
"""How a path names what shall answer: suffix of the operation's id, part of the path, words, parameters."""

_ROUTING_KEY: Json = {
    "name": "X-Onnxlet-Routing-Key",
    "in": "header",
    "required": False,
    "description": "Requests with the same key go to the same version while an alias routes to several.",
    "schema": {"type": "string"},
}
_ANSWER_HEADERS: Json = {
    name: {"description": description, "schema": {"type": "string"}}
    for name, description in (
        ("X-Onnxlet-Model-Version", "The version that made the answer."),
        ("X-Onnxlet-Alias", "The alias that led to it."),
        ("X-Onnxlet-Stale", "Set when the store did not answer and the last known routes were used."),
        ("X-Onnxlet-Fallback", "Set when an earlier version answers because the routed one failed its golden cases."),
    )
}


def _data_plane() -> Json:
    paths: Json = {}
    for suffix, (part, words, parameters) in _TARGETS.items():
        base = "/v1/models/{model}" + part
        paths[base + ":predict"] = {
            "post": {
                **_operation("predict" + suffix, f"Predict with {words}", [*parameters, _ROUTING_KEY]),
                "requestBody": {"required": True, "content": _json(_ref("PredictRequest"))},
                "responses": _answers("PredictResponse", _ANSWER_HEADERS),
            }
        }
        paths[base] = _get("status" + suffix, f"Status of {words}", parameters, "ModelStatus")
        paths[base + "/metadata"] = _get("metadata" + suffix, f"Signatures of {words}", parameters, "ModelMetadata")
    paths["/v2/health/live"] = _get("live", "Whether the server runs", [], "Live")
    paths["/v2/health/ready"] = _get("ready", "Whether the store answers", [], "Ready")
    return paths


def _operation(identifier: str, summary: str, parameters: list[Json]) -> Json:
    return {"operationId": identifier, "summary": summary, "tags": ["predictions"], "parameters": parameters}


def _get(identifier: str, summary: str, parameters: list[Json], schema: str) -> Json:
    return {"get": {**_operation(identifier, summary, parameters), "responses": _answers(schema, {})}}


def _answers(schema: str, headers: Json) -> Json:
    success: Json = {"description": "The answer.", "content": _json(_ref(schema))}
    if headers:
        success["headers"] = headers
    return {"200": success, "default": {"description": "An error.", "content": _json(_ref("PredictionError"))}}


def _object(properties: Json, *required: str, **more: object) -> Json:
    return {"type": "object", "properties": properties, "required": list(required), **more}


_TEXT: Json = {"type": "string"}
_SIGNATURE_NAME: Json = {"type": "string", "default": "serving_default"}
_TENSOR_INFO: Json = {"type": "object", "additionalProperties": {"type": "object"}}

_SCHEMAS: Json = {
    "PredictRequest": {
        "description": 'Rows as `instances`, or whole tensors as `inputs`; never both. A string may be {"b64": …}.',
        "oneOf": [
            _object(
                {"signature_name": _SIGNATURE_NAME, "instances": {"type": "array", "items": {}, "minItems": 1}},
                "instances",
                title="Rows",
            ),
            _object({"signature_name": _SIGNATURE_NAME, "inputs": {}}, "inputs", title="Tensors"),
        ],
        "example": {"instances": [{"radius_mean": 17.99, "texture_mean": 10.38}]},
    },
    "PredictResponse": {
        "description": "`predictions` for `instances`, `outputs` for `inputs`; a single output goes without its name.",
        "oneOf": [
            _object({"predictions": {"type": "array", "items": {}}}, "predictions", title="Rows"),
            _object({"outputs": {}}, "outputs", title="Tensors"),
        ],
        "example": {"predictions": [{"label": "malignant", "probability": 0.98, "probabilities": [0.98, 0.02]}]},
    },
    "ModelStatus": _object(
        {
            "model_version_status": {
                "type": "array",
                "items": _object(
                    {
                        "version": _TEXT,
                        "state": {"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                        "status": _object({"error_code": _TEXT, "error_message": _TEXT}, "error_code"),
                    },
                    *("version", "state", "status"),
                ),
            }
        },
        "model_version_status",
    ),
    "ModelMetadata": _object(
        {
            "model_spec": _object(
                {"name": _TEXT, "signature_name": _TEXT, "version": _TEXT}, *("name", "signature_name", "version")
            ),
            "metadata": _object(
                {"signature_def": _object({"signature_def": _TENSOR_INFO}, "signature_def")}, "signature_def"
            ),
        },
        *("model_spec", "metadata"),
    ),
    "Live": _object({"live": {"type": "boolean"}}, "live"),
    "Ready": _object({"ready": {"type": "boolean"}}, "ready"),
    "PredictionError": _object({"error": _TEXT}, "error"),
}
