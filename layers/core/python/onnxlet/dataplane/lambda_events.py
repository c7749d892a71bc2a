"""Lambda events in and out: API Gateway's HTTP APIs (payload 2.0) and REST APIs (1.0), function URLs, load balancers,
and direct invocations.

Percent-encoding is taken off paths here, once: HTTP APIs deliver them decoded already; REST APIs, function URLs and
load balancers deliver them as they were sent (as people saw it; the documentation does not say). Bodies are decoded by
`isBase64Encoded` alone: API Gateway encodes whatever has no text Content-Type, JSON included.
Sources: "Create AWS Lambda proxy integrations for HTTP APIs", "Lambda proxy integrations in API Gateway" and "Lambda
functions as targets of Application Load Balancers" in the AWS documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request, Response
from onnxlet.errors import InvalidInputError, NotAcceptableError
from onnxlet.values.headers import REQUEST_ID, TRACE
from onnxlet.values.request_ids import request_id, trace_context

_REQUEST_ID = REQUEST_ID.lower()
"""As requests carry it here: names of headers are lower case."""
_NO_STAGE = "$default"
"""The stage that stands in no path."""
Event = Mapping[str, Any]

_ACCEPTED = (
    "this event is none that the predict function takes: an HTTP request of API Gateway (payload 1.0 or 2.0), of a "
    'function URL or of a load balancer, or a direct invocation {"model": …, "instances" or "inputs": …}'
)


def _do_nothing() -> None:
    """Nobody wants to know."""


def handle(
    dataplane: DataPlane,
    event: Event,
    context: object,
    rest_binary: bool = False,
    answered: Callable[[], None] = _do_nothing,
) -> dict[str, Any]:
    """What Lambda returns for an event; `rest_binary` is the setting of that name.

    `answered` is called at the end, whichever it is. HTTP errors are answers; a direct invocation raises them. Raises
    InvalidInputError for an event of another kind.
    """
    known: str = getattr(context, "aws_request_id", "")
    # nothing is handed on by keyword here, for that costs a call half a microsecond
    try:
        if "requestContext" not in event:
            return _invoke(dataplane, event, known)
        try:
            request = to_request(event, rest_binary, known)
        except InvalidInputError as error:
            return _refuse(dataplane, event, known, error)
        headers = request.headers
        if _REQUEST_ID in headers or not known:
            request.id = request_id(headers.get(_REQUEST_ID), known)
        if TRACE in headers:
            request.trace = trace_context(headers[TRACE])
        response = dataplane.answer(request)
        try:
            return to_event_answer(response, event, rest_binary)
        except NotAcceptableError as error:
            response.drop_body()
            return to_event_answer(dataplane.refuse(request.path, error, response), event)
    finally:
        answered()


def _invoke(dataplane: DataPlane, event: Event, known_id: str) -> dict[str, Any]:
    if "model" not in event:
        raise InvalidInputError(_ACCEPTED)
    return dataplane.invoke(event, known_id)


def _refuse(dataplane: DataPlane, event: Event, known_id: str, error: InvalidInputError) -> dict[str, Any]:
    """The answer to an HTTP event that cannot be read."""
    context = event["requestContext"]
    refusal = dataplane.refuse(_path(event, context if isinstance(context, dict) else {}), error)
    refusal.headers[REQUEST_ID] = request_id(None, known_id)
    return to_event_answer(refusal, event)


def to_request(event: Event, rest_binary: bool = False, known_id: str = "") -> Request:
    """The request that an event carries. Raises InvalidInputError for other events and for a body not in base64."""
    context = event.get("requestContext")
    if not isinstance(context, dict):
        raise InvalidInputError(_ACCEPTED)
    http = context.get("http")
    if http is None and "httpMethod" not in event:
        raise InvalidInputError(_ACCEPTED)
    text = event.get("body") or ""
    body = _from_base64(text) if event.get("isBase64Encoded") else text.encode("utf-8", "surrogatepass")
    if http is None:
        return _from_payload_1(event, context, body, known_id, rest_binary=rest_binary)
    headers = event.get("headers") or {}
    if "host" not in headers:  # AWS writes names in lower case, local stand-ins may not
        headers = {name.lower(): value for name, value in headers.items()}
    path = event["rawPath"]
    if "%" in path or context.get("stage") != _NO_STAGE:
        path = _path(event, context)
    return Request(http["method"], path, event.get("rawQueryString") or "", headers, body, None, known_id)


def _from_payload_1(
    event: Event, context: Mapping[str, Any], body: bytes, known_id: str, *, rest_binary: bool
) -> Request:
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        headers[name.lower()] = ",".join(values)
    if "elb" not in context and not rest_binary:
        # a REST API hands base64 on as it is, so it must not be given compressed answers
        headers.pop("accept-encoding", None)
    return Request(event["httpMethod"], _path(event, context), _query(event, context), headers, body, None, known_id)


def _query(event: Event, context: Mapping[str, Any]) -> str:
    """The query of an event that has it as a table: load balancers leave it encoded, API Gateway does not."""
    values: Mapping[str, list[str]] = event.get("multiValueQueryStringParameters") or {
        name: [value] for name, value in (event.get("queryStringParameters") or {}).items()
    }
    pairs = [(name, value) for name, several in values.items() for value in several]
    if not pairs:
        return ""
    if "elb" in context:
        return "&".join(f"{name}={value}" for name, value in pairs)
    from urllib.parse import quote, urlencode

    return urlencode(pairs, quote_via=quote)


def _path(event: Event, context: Mapping[str, Any]) -> str:
    """The path as the caller meant it: decoded, and without the stage."""
    stage, domain = context.get("stage"), context.get("domainName") or ""
    if "http" in context:
        path: str = event["rawPath"]
        if stage != _NO_STAGE:
            path = _without_stage(path, stage, domain)
        return _unquoted(path) if "%" in path and ".lambda-url." in domain else path
    path = event.get("path") or "/"
    # an HTTP API that speaks the old payload: decoded, and with the stage in its path
    return _without_stage(path, stage, domain) if event.get("version") == "1.0" else _unquoted(path)


def _without_stage(path: str, stage: str | None, domain: str) -> str:
    """A path without the name of the stage, which only the API's own domain puts in front of it."""
    if stage and ".execute-api." in domain and path.startswith(f"/{stage}/"):
        return path[len(stage) + 1 :]
    return path


def _unquoted(path: str) -> str:
    if "%" not in path:
        return path
    from urllib.parse import unquote

    return unquote(path)


def _from_base64(text: str) -> bytes:
    import binascii

    try:
        return binascii.a2b_base64(text)
    except ValueError as error:
        raise InvalidInputError(f"the event's body is not base64: {str(error).lower()}") from None


def to_event_answer(response: Response, event: Event, rest_binary: bool = False) -> dict[str, Any]:
    """A response as the sender of `event` wants it: what is no text goes in base64.

    Raises NotAcceptableError for a stream, and for what is no text if the sender is a REST API without binary types.
    """
    text = response.text()
    answer: dict[str, Any] = {
        "statusCode": response.status,
        "headers": response.headers,
        "body": _in_base64(response, event, rest_binary=rest_binary) if text is None else text,
        "isBase64Encoded": text is None,
    }
    context = event["requestContext"]
    if isinstance(context, dict) and "elb" in context:
        from http import HTTPStatus

        answer["statusDescription"] = f"{response.status} {HTTPStatus(response.status).phrase}"
        if "multiValueHeaders" in event:
            answer["multiValueHeaders"] = {name: [value] for name, value in answer.pop("headers").items()}
    return answer


def _in_base64(response: Response, event: Event, *, rest_binary: bool) -> str:
    if not isinstance(response.body, bytes):
        raise NotAcceptableError("a stream cannot be answered here: ask for the whole answer at once")
    if not rest_binary and _is_from_rest_api(event):
        raise NotAcceptableError(
            "this REST API does not carry bytes that are no text: ask for JSON, or declare the binary media type */* "
            "on the API and set ONNXLET_REST_BINARY to true"
        )
    import binascii

    return binascii.b2a_base64(response.body, newline=False).decode()


def _is_from_rest_api(event: Event) -> bool:
    """Whether API Gateway's REST API sent the event: an HTTP API that speaks its payload tells the version."""
    context = event["requestContext"]
    return "http" not in context and "elb" not in context and event.get("version") != "1.0"
