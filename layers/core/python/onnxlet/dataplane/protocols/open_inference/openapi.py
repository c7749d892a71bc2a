"""The Open Inference Protocol's part of the OpenAPI document.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

from onnxlet.dataplane.protocols.openapi import (
    ANSWER_HEADERS,
    ANY_OBJECT,
    MODEL,
    PREDICTION_ERROR,
    ROUTING_KEY,
    TEXT,
    VERSION,
    Json,
    object_of,
    operation,
    post_json,
)
from onnxlet.values.datatypes import DATATYPES

_TARGETS: tuple[tuple[str, str, str, list[Json]], ...] = (
    ("", "", "the alias `production`, or that of `model@alias`", [MODEL]),
    ("Version", "/versions/{version}", "a version, while it is servable", [MODEL, VERSION]),
)
"""How a path names what shall answer: suffix of the operation's id, part of the path, words, parameters."""


def _paths() -> Json:
    paths: Json = {
        "/v2": {"get": operation("serverMetadata", "What the server is", [], "ServerMetadata")},
        "/v2/health/live": {"get": operation("live", "Whether the server runs", [], "Live")},
        "/v2/health/ready": {"get": operation("ready", "Whether the store answers", [], "Ready")},
    }
    for suffix, part, words, parameters in _TARGETS:
        base = "/v2/models/{model}" + part
        infer = operation(
            "infer" + suffix, f"Infer with {words}", [*parameters, ROUTING_KEY], "InferResponse", ANSWER_HEADERS
        )
        paths[base + "/infer"] = post_json("InferRequest", infer)
        explain = operation(
            "explainTensors" + suffix,
            f"Infer and explain with {words}; parameters `explain_method` and so on say how",
            [*parameters, ROUTING_KEY],
            "InferResponse",
            ANSWER_HEADERS,
        )
        paths[base + "/explain"] = post_json("InferRequest", explain)
        paths[base] = {"get": operation("describe" + suffix, f"Tensors of {words}", parameters, "TensorMetadata")}
        paths[base + "/ready"] = {
            "get": operation("modelReady" + suffix, f"Whether something answers for {words}", parameters, "ModelReady")
        }
    return paths


PATHS = _paths()

_BOOLEAN: Json = {"type": "boolean"}
_SIZES: Json = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_DATATYPE: Json = {"enum": list(DATATYPES)}
_DATA: Json = {"type": "array", "items": {}, "description": "Flat in row-major order, or nested as `shape` says."}
_DESCRIBED: Json = {
    "type": "array",
    "items": object_of(
        {"name": TEXT, "datatype": _DATATYPE, "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}}},
        *("name", "datatype", "shape"),
    ),
}


def _tensors() -> Json:
    tensor = {"name": TEXT, "shape": _SIZES, "datatype": _DATATYPE, "parameters": ANY_OBJECT, "data": _DATA}
    return {"type": "array", "items": object_of(tensor, "name", "shape", "datatype", "data")}


SCHEMAS: Json = {
    "Live": object_of({"live": _BOOLEAN}, "live"),
    "Ready": object_of({"ready": _BOOLEAN}, "ready"),
    "ServerMetadata": object_of(
        {"name": TEXT, "version": TEXT, "extensions": {"type": "array", "items": TEXT}},
        *("name", "version", "extensions"),
    ),
    "TensorMetadata": object_of(
        {
            "name": TEXT,
            "versions": {"type": "array", "items": TEXT},
            "platform": TEXT,
            "inputs": _DESCRIBED,
            "outputs": _DESCRIBED,
        },
        *("name", "platform", "inputs", "outputs"),
    ),
    "ModelReady": object_of({"name": TEXT, "ready": _BOOLEAN}, "name", "ready"),
    "InferRequest": object_of(
        {
            "id": TEXT,
            "parameters": ANY_OBJECT,
            "inputs": _tensors(),
            "outputs": {
                "description": "The outputs that are wanted; all without it.",
                "type": "array",
                "items": object_of({"name": TEXT, "parameters": ANY_OBJECT}, "name"),
            },
        },
        "inputs",
        example={"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [17.99, 10.38]}]},
    ),
    "InferResponse": object_of(
        {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "parameters": ANY_OBJECT, "outputs": _tensors()},
        *("model_name", "outputs"),
    ),
    "PredictionError": PREDICTION_ERROR,
}
