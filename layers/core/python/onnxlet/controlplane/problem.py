"""Problem details (RFC 9457): how the control plane's errors look over HTTP, and what each kind means.

The extension member `error` repeats `detail` for clients that read the Open Inference Protocol's error body.
"""

from __future__ import annotations

import inspect
import json
import logging
import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from onnxlet import errors
from onnxlet.controlplane.openapi import PROBLEM, responses
from onnxlet.controlplane.schemas import ProblemKind, ProblemKinds, answer
from onnxlet.errors import InvalidInputError, MethodNotAllowedError, NotFoundError, OnnxletError, RouteNotFoundError

RETRY_AFTER = "5"
"""Seconds after which to try again what got 503 or 504. The data plane says 1, because a prediction can wait less."""

STATUS: dict[type[OnnxletError], HTTPStatus] = {
    OnnxletError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidInputError: HTTPStatus.BAD_REQUEST,
    errors.PreconditionRequiredError: HTTPStatus.PRECONDITION_REQUIRED,
    errors.TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.AccessDeniedError: HTTPStatus.FORBIDDEN,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowedError: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.NotAcceptableError: HTTPStatus.NOT_ACCEPTABLE,
    errors.ConflictError: HTTPStatus.CONFLICT,
    errors.PreconditionFailedError: HTTPStatus.PRECONDITION_FAILED,
    errors.RejectedModelError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ExecutionError: HTTPStatus.BAD_REQUEST,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceededError: HTTPStatus.GATEWAY_TIMEOUT,
}
"""The one table from kinds of errors to statuses; a kind that is not in it has its parent's."""

_OWN_MEMBERS = frozenset({"type", "title", "status", "detail", "instance", "error"})

_logger = logging.getLogger(__name__)
MOST_FAULTS = 10
"""Faults of a body that are told one by one."""


def status_of(kind: type[OnnxletError]) -> HTTPStatus:
    """The status of a kind of error: its own, or that of its nearest ancestor in the table."""
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def kinds() -> dict[str, type[OnnxletError]]:
    """Every kind of error by its slug, in the order of the slugs."""
    ours = (kind for kind in _descendants(OnnxletError) if kind.__module__ == errors.__name__)
    return {kind.slug(): kind for kind in sorted(ours, key=lambda kind: kind.slug())}


def _descendants(kind: type[OnnxletError]) -> Iterator[type[OnnxletError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)


def describe(error: OnnxletError, instance: str) -> dict[str, Any]:
    """The problem document of `error` at the path `instance`.

    The error's context goes along where it is plain JSON, unless the fault is ours: then it stays in the log.
    """
    status = status_of(type(error))
    context = error.context if status < HTTPStatus.INTERNAL_SERVER_ERROR else {}
    return {
        "type": f"/problems/{error.slug()}",
        "title": error.title,
        "status": int(status),
        "detail": error.detail,
        "instance": instance,
        **{name: value for name, value in context.items() if name not in _OWN_MEMBERS and _is_plain(value)},
        "error": error.detail,
    }


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(type(name) is str and _is_plain(item) for name, item in value.items())
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document, and explain the kinds under /problems."""
    app.add_exception_handler(OnnxletError, _on_domain_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_bug)
    app.include_router(_router)


def respond(error: OnnxletError, instance: str) -> Response:
    """`error` at the path `instance`, as a response; Retry-After says when to try again where that may help."""
    headers = {"Retry-After": RETRY_AFTER} if isinstance(error, errors.UnavailableError) else None
    return _answer(describe(error, instance), headers)


def _answer(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    # ASCII, because a message that quotes a client may hold lone surrogates, which UTF-8 cannot write
    return Response(json.dumps(document), document["status"], headers, media_type=PROBLEM)


def _instance(request: Request) -> str:
    return str(request.scope["path"])


async def _on_domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OnnxletError)  # noqa: S101 - it is registered for this class
    path = _instance(request)
    if status_of(type(error)) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _logger.error("%s: %s", error.title, error.detail, extra={"path": path, "problem": error.slug()})
    return respond(error, path)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for this class
    path = _instance(request)
    if error.status_code == HTTPStatus.NOT_FOUND:
        document = describe(RouteNotFoundError(f"nothing answers at {path!r}: /docs lists what does"), path)
    elif error.status_code == HTTPStatus.BAD_REQUEST:  # a body nested too deeply, say
        document = describe(InvalidInputError("the body cannot be read as JSON"), path)
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        document = describe(MethodNotAllowedError(f"{path!r} does not answer {request.method}"), path)
    else:
        title = HTTPStatus(error.status_code).phrase
        document = {"type": "about:blank", "title": title, "status": error.status_code, "detail": error.detail}
        document |= {"instance": path, "error": error.detail}
    return _answer(document, error.headers)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for this class
    faults = [{"at": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
    listed = faults[:MOST_FAULTS]
    detail = "; ".join(f"{fault['at']}: {fault['message']}" for fault in listed)
    if len(faults) > MOST_FAULTS:
        detail += f"; and {len(faults) - MOST_FAULTS:,} more"
    if any(fault["at"] == "body" for fault in faults) and "json" not in request.headers.get("content-type", ""):
        detail = "the body must be JSON: send it with Content-Type: application/json"
    return respond(InvalidInputError(detail, faults=listed), _instance(request))


async def _on_bug(request: Request, _: Exception) -> Response:
    # Whoever runs the app gets the exception after this answer and logs it; the client learns nothing internal.
    detail = "something failed that should not have; the server's log has the cause"
    document = {"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": detail}
    return _answer(document | {"instance": _instance(request), "error": detail})


_router = APIRouter(prefix="/problems", tags=["problems"])


def _explain(kind: type[OnnxletError]) -> ProblemKind:
    meaning = inspect.getdoc(kind) or kind.title
    return ProblemKind(f"/problems/{kind.slug()}", kind.title, int(status_of(kind)), meaning)


@_router.get("", summary="Every kind of problem", responses=responses(ProblemKinds))
async def list_problems() -> Response:
    """What each `type` of a problem document means."""
    return answer(ProblemKinds([_explain(kind) for kind in kinds().values()]))


@_router.get("/{slug}", summary="One kind of problem", responses=responses(ProblemKind))
async def show_problem(slug: str) -> Response:
    """What one `type` of a problem document means."""
    kind = kinds().get(slug)
    if kind is None:
        raise NotFoundError(f"no kind of problem is called {slug!r}: /problems lists them all", slug=slug)
    return answer(_explain(kind))
