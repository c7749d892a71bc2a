"""The Open Inference Protocol, version 2: liveness and readiness.

Ready means that the store answers; models load on first use. Clients rely on the status; KServe's also reads the body.
"""

from __future__ import annotations

from onnxlet.dataplane import answering
from onnxlet.dataplane.answering import RETRY_AFTER, refuse
from onnxlet.dataplane.messages import JSON, Request, Response
from onnxlet.errors import MethodNotAllowedError, UnavailableError
from onnxlet.serving.predictor import Predictor

__all__ = ["LIVE", "answer", "refuse"]

LIVE = "/v2/health/live"
READY = "/v2/health/ready"


def answer(predictor: Predictor, request: Request) -> Response:
    """Answer a request below `/v2`."""
    if request.path not in (LIVE, READY):
        raise answering.no_route(request.path)
    if request.method not in ("GET", "HEAD"):
        error = MethodNotAllowedError(f"{request.path} takes GET, not {request.method}")
        return refuse(error, {"Allow": "GET, HEAD"})
    if request.path == LIVE:
        return Response(200, b'{"live":true}', {"Content-Type": JSON})
    try:
        predictor.ready()
    except UnavailableError:
        return Response(503, b'{"ready":false}', {"Content-Type": JSON, "Retry-After": RETRY_AFTER})
    return Response(200, b'{"ready":true}', {"Content-Type": JSON})
