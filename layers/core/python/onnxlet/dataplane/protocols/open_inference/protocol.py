"""Liveness and readiness, as the Open Inference Protocol has them: `/v2/health/live` and `/v2/health/ready`.

Ready means that the store answers; models load on first use. Clients rely on the status; KServe's also reads the body.
"""

from __future__ import annotations

from onnxlet.dataplane.messages import Request, Response
from onnxlet.dataplane.protocols.tensorflow_serving.protocol import JSON, RETRY_AFTER, error_body
from onnxlet.errors import UnavailableError
from onnxlet.serving.predictor import Predictor

LIVE = "/v2/health/live"
READY = "/v2/health/ready"


def answer(predictor: Predictor, request: Request) -> Response:
    """Answer one of the two."""
    if request.method not in ("GET", "HEAD"):
        body = error_body(f"{request.path} takes GET, not {request.method}")
        return Response(405, body, {"Content-Type": JSON, "Allow": "GET, HEAD"})
    if request.path == LIVE:
        return Response(200, b'{"live":true}', {"Content-Type": JSON})
    try:
        predictor.ready()
    except UnavailableError:
        return Response(503, b'{"ready":false}', {"Content-Type": JSON, "Retry-After": RETRY_AFTER})
    return Response(200, b'{"ready":true}', {"Content-Type": JSON})
