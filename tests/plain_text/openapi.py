"""Its part of the OpenAPI document."""

from __future__ import annotations

from onnxlet.dataplane.protocols.openapi import MODEL, PREDICTION_ERROR, Json, operation

PATHS: Json = {"/text/{model}": {"post": operation("predictText", "Predict with lines", [MODEL], "Lines")}}
SCHEMAS: Json = {"Lines": {"type": "string"}, "PredictionError": PREDICTION_ERROR}
