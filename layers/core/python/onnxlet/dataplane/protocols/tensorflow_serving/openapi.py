"""TensorFlow Serving's part of the OpenAPI document.

Source: tensorflow/serving, g3doc/api_rest.md.
"""

from __future__ import annotations

from onnxlet.dataplane.protocols.openapi import (
    ANSWER_HEADERS,
    EXPLANATION_OPTIONS,
    MODEL,
    PREDICTION_ERROR,
    ROUTING_KEY,
    TEXT,
    VERSION,
    Json,
    object_of,
    operation,
    path_parameter,
    post_json,
)

_FILE: Json = {"type": "string", "format": "binary"}
_LABEL = path_parameter("label", "The alias.", {"type": "string", "example": "candidate"})
_TARGETS: tuple[tuple[str, str, str, list[Json]], ...] = (
    ("", "", "the alias `production`", [MODEL]),
    ("Version", "/versions/{version}", "a version, while it is servable", [MODEL, VERSION]),
    ("Label", "/labels/{label}", "an alias, which TensorFlow Serving calls a label", [MODEL, _LABEL]),
)
"""How a path names what shall answer: suffix of the operation's id, part of the path, words, parameters."""


_PICTURES: Json = {
    "image/*": {"schema": _FILE},
    "multipart/form-data": {"schema": {"type": "object", "additionalProperties": _FILE}},
}
"""Other bodies, which models that read pictures take."""


_OPTIONS: list[Json] = [
    {
        "name": name,
        "in": "query",
        "required": False,
        "description": "What a JSON body has in `explain`, where the body is pictures.",
        "schema": schema,
    }
    for name, schema in EXPLANATION_OPTIONS.items()
]


def _paths() -> Json:
    paths: Json = {}
    for suffix, part, words, parameters in _TARGETS:
        base = "/v1/models/{model}" + part
        predict = operation(
            "predict" + suffix,
            f"Predict with {words}",
            [*parameters, ROUTING_KEY],
            "PredictResponse",
            ANSWER_HEADERS,
        )
        paths[base + ":predict"] = post_json("PredictRequest", predict, **_PICTURES)
        explain = operation(
            "explain" + suffix,
            f"Predict and explain with {words}",
            [*parameters, ROUTING_KEY, *_OPTIONS],
            "ExplainResponse",
            ANSWER_HEADERS,
        )
        paths[base + ":explain"] = post_json("PredictRequest", explain, **_PICTURES)
        paths[base] = {"get": operation("status" + suffix, f"Status of {words}", parameters, "ModelStatus")}
        paths[base + "/metadata"] = {
            "get": operation("metadata" + suffix, f"Signatures of {words}", parameters, "ModelMetadata")
        }
    return paths


PATHS = _paths()

_SIGNATURE_NAME: Json = {"type": "string", "default": "serving_default"}
_TENSOR_INFO: Json = {"type": "object", "additionalProperties": {"type": "object"}}

_EXPLAIN: Json = {
    "description": "Explain the predictions too: true, or how.",
    "oneOf": [{"type": "boolean"}, {"type": "object", "properties": EXPLANATION_OPTIONS}],
}
_NUMBERS: Json = {"type": "object", "additionalProperties": {"type": "number"}}
_BY_CLASS: Json = {"type": "object", "additionalProperties": _NUMBERS}

SCHEMAS: Json = {
    "PredictRequest": {
        "description": 'Rows as `instances`, or whole tensors as `inputs`; never both. A string may be {"b64": …}.',
        "oneOf": [
            object_of(
                {
                    "signature_name": _SIGNATURE_NAME,
                    "instances": {"type": "array", "items": {}, "minItems": 1},
                    "explain": _EXPLAIN,
                },
                "instances",
                title="Rows",
            ),
            object_of(
                {"signature_name": _SIGNATURE_NAME, "inputs": {}, "explain": _EXPLAIN}, "inputs", title="Tensors"
            ),
        ],
        "example": {"instances": [{"radius_mean": 17.99, "texture_mean": 10.38}]},
    },
    "PredictResponse": {
        "description": "`predictions` for `instances`, `outputs` for `inputs`; a single output goes without its name.",
        "oneOf": [
            object_of({"predictions": {"type": "array", "items": {}}}, "predictions", title="Rows"),
            object_of({"outputs": {}}, "outputs", title="Tensors"),
        ],
        "example": {"predictions": [{"label": "malignant", "probability": 0.98, "probabilities": [0.98, 0.02]}]},
    },
    "ExplainResponse": object_of(
        {
            "predictions": {"type": "array", "items": {}},
            "outputs": {},
            "explanations": {
                "description": "One for each row; null where it was not to be explained. Numbers by class and column.",
                "type": "array",
                "items": object_of(
                    {
                        "prediction": _NUMBERS,
                        "attributions": _BY_CLASS,
                        "overlay": {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"},
                        "interval": _BY_CLASS,
                        "residual": _NUMBERS,
                    },
                    *("prediction", "attributions"),
                    type=["object", "null"],
                ),
            },
            "explained": object_of(
                {
                    "method": TEXT,
                    "output": TEXT,
                    "unit": TEXT,
                    "expected": _NUMBERS,
                    "background": object_of(
                        {"kind": TEXT, "rows": {"type": "integer"}, "digest": TEXT},
                        *("kind", "rows", "digest"),
                        type=["object", "null"],
                    ),
                    "seed": {"type": "integer"},
                    "pairs": {"type": "integer"},
                    "unreliable": {"type": "boolean"},
                    "sum_error": {"type": "number"},
                    "evaluations": {"type": "integer"},
                },
                *("method", "output", "unit", "expected", "sum_error"),
            ),
        },
        *("explanations", "explained"),
    ),
    "ModelStatus": object_of(
        {
            "model_version_status": {
                "type": "array",
                "items": object_of(
                    {
                        "version": TEXT,
                        "state": {"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                        "status": object_of({"error_code": TEXT, "error_message": TEXT}, "error_code"),
                    },
                    *("version", "state", "status"),
                ),
            }
        },
        "model_version_status",
    ),
    "ModelMetadata": object_of(
        {
            "model_spec": object_of(
                {"name": TEXT, "signature_name": TEXT, "version": TEXT}, *("name", "signature_name", "version")
            ),
            "metadata": object_of(
                {"signature_def": object_of({"signature_def": _TENSOR_INFO}, "signature_def")}, "signature_def"
            ),
        },
        *("model_spec", "metadata"),
    ),
    "PredictionError": PREDICTION_ERROR,
}
