"""What the protocols' parts of the OpenAPI document are made of. Plain data: nothing here answers requests."""

from __future__ import annotations

from typing import Any

from onnxlet.values import headers

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
ANY_OBJECT: Json = {"type": "object", "additionalProperties": True}


def ref(name: str) -> Json:
    """A schema of the document, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_content(schema: Json) -> Json:
    """The content of a body in JSON."""
    return {"application/json": {"schema": schema}}


def object_of(properties: Json, *required: str, **more: object) -> Json:
    """The schema of an object."""
    return {"type": "object", "properties": properties, "required": list(required)} | more


def path_parameter(name: str, description: str, schema: Json) -> Json:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def operation(identifier: str, summary: str, parameters: list[Json], answer: str, headers: Json | None = None) -> Json:
    """What one method of a path does: it answers the schema `answer` under `headers`, or a PredictionError."""
    success: Json = {"description": "The answer.", "content": json_content(ref(answer))}
    if headers:
        success["headers"] = headers
    failure = {"description": "An error.", "content": json_content(ref("PredictionError"))}
    return {
        "operationId": identifier,
        "summary": summary,
        "tags": ["predictions"],
        "parameters": parameters,
        "responses": {"200": success, "default": failure},
    }


def post_json(schema: str, described: Json, **others: Json) -> Json:
    """A path that takes the schema by POST, and bodies of other media types."""
    content = json_content(ref(schema)) | others
    return {"post": {**described, "requestBody": {"required": True, "content": content}}}


EXPLANATION_OPTIONS: Json = {
    "method": {"type": "string", "default": "auto", "description": "How; `auto` takes the best that there is."},
    "output": {"type": "string", "description": "A served output of numbers; by itself, a classifier's probabilities."},
    "scale": {
        "enum": ["raw", "output"],
        "description": "Of what the model adds up itself, log-odds say, or of what is served.",
    },
    "classes": {"description": "A label or position of the output's columns, or several; all without it."},
    "seed": {"type": "integer", "minimum": 0, "default": 0},
    "max_evaluations": {
        "type": "integer",
        "minimum": 1,
        "description": "Rows that the model may be asked about, a row.",
    },
    "max_ms": {"type": "number", "exclusiveMinimum": 0, "description": "Milliseconds for all rows."},
    "above": {"type": "number", "description": "Explain only rows of which an explained class, or the value, is more."},
    "overlay": {"type": "boolean", "description": "Of pictures: a PNG of each under its heatmap, in base64."},
}
"""What may be asked of an explanation."""

MODEL = path_parameter("model", "The model's name.", {"type": "string", "example": "diagnosis"})
VERSION = path_parameter("version", "The version's number.", {"type": "integer", "format": "int64", "minimum": 1})
ROUTING_KEY: Json = {
    "name": headers.ROUTING_KEY,
    "in": "header",
    "required": False,
    "description": "Requests with the same key go to the same version while an alias routes to several.",
    "schema": TEXT,
}
ANSWER_HEADERS: Json = {
    name: {"description": description, "schema": TEXT}
    for name, description in (
        (headers.MODEL_VERSION, "The version that made the answer."),
        (headers.ALIAS, "The alias that led to it."),
        (headers.STALE, "Set when the store did not answer and the last known routes were used."),
        (headers.REQUEST_ID, "What the answer's lines in logs are found by: the caller's, if it sent a fit one."),
        (headers.FALLBACK, "Set when an earlier version answers because the routed one was refused."),
    )
}
PREDICTION_ERROR = object_of({"error": TEXT}, "error")
