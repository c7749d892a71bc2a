"""The Open Inference Protocol's part of the OpenAPI document."""

from __future__ import annotations

from onnxlet.dataplane.protocols.openapi import PREDICTION_ERROR, Json, object_of, operation

PATHS: Json = {
    "/v2/health/live": {"get": operation("live", "Whether the server runs", [], "Live")},
    "/v2/health/ready": {"get": operation("ready", "Whether the store answers", [], "Ready")},
}
SCHEMAS: Json = {
    "Live": object_of({"live": {"type": "boolean"}}, "live"),
    "Ready": object_of({"ready": {"type": "boolean"}}, "ready"),
    "PredictionError": PREDICTION_ERROR,
}
