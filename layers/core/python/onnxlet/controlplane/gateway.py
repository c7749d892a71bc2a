"""What stands before the application on Lambda: which API may hand events on, and what Mangum sends as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from mangum.adapter import DEFAULT_TEXT_MIME_TYPES

from onnxlet.controlplane.openapi import PROBLEM

TEXT = [*DEFAULT_TEXT_MIME_TYPES, PROBLEM]
"""Media types that Mangum does not encode in base64."""


def refusal(event: Mapping[str, Any], api_id: str) -> dict[str, Any] | None:
    """The answer to an event that the API `api_id` did not send; None for its own, or if no API is named.

    It guards against a second API, a Function URL or a load balancer wired to the function by mistake, not against
    who may invoke the function: they write into the event what they like.
    """
    context = event.get("requestContext")
    if not api_id or (isinstance(context, Mapping) and context.get("apiId") == api_id):
        return None
    status = HTTPStatus.FORBIDDEN
    detail = f"this function answers the API {api_id!r} alone: send the request there"
    document = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, "error": detail}
    return {
        "statusCode": int(status),
        "headers": {"content-type": PROBLEM},
        "body": json.dumps(document),
        "isBase64Encoded": False,
    }
