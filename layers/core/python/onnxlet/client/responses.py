"""HTTP responses, and what those that refuse mean: problem documents (RFC 9457), TensorFlow Serving's and AWS's bodies
become the package's own errors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from onnxlet import errors
from onnxlet.errors import OnnxletError

KINDS: dict[int, type[OnnxletError]] = {
    400: errors.InvalidInputError,
    401: errors.AccessDeniedError,
    403: errors.AccessDeniedError,
    404: errors.NotFoundError,
    405: errors.MethodNotAllowedError,
    406: errors.NotAcceptableError,
    409: errors.ConflictError,
    412: errors.PreconditionFailedError,
    413: errors.TooLargeError,
    422: errors.RejectedModelError,
    428: errors.PreconditionRequiredError,
    429: errors.UnavailableError,
    500: errors.InternalError,
    502: errors.UnavailableError,
    503: errors.UnavailableError,
    504: errors.DeadlineExceededError,
}
"""What a status means where the body names no kind of problem; any other is an OnnxletError."""

ADVICE = {
    401: "it wants to know who asks, by a bearer token or a signature (auth='iam')",
    403: "check that who asks may do this, and that the API takes a token, or a signature (auth='iam')",
}
"""What to do about a refusal, whose body seldom says it."""

_REQUEST_IDS = ("X-Onnxlet-Request-Id", "Apigw-Requestid", "X-Amzn-RequestId", "X-Amz-Apigw-Id")
_PROBLEMS = "/problems/"
_OWN_MEMBERS = frozenset({"type", "title", "status", "detail", "instance", "error", "request_id"})
_EXCERPT = 200
"""Characters shown of a body that is no JSON."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response. Names of headers are read in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The body's document. Raises OnnxletError if it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise OnnxletError(
                f"the server's answer is not JSON, but {self._excerpt()!r}: is this the URL of an onnxlet server?"
            ) from error

    def to_error(self) -> OnnxletError:
        """The error that a response which refuses stands for, with `status` and `request_id` in its context."""
        document = self._read_document()
        kind = _find_kind(document, self.status)
        detail = document.get("detail") or document.get("error") or document.get("message") or document.get("Message")
        detail = f"the server answered {self.status}: {detail or self._excerpt() or _reason_phrase(self.status)}"
        if self.status in ADVICE:
            detail += f"; {ADVICE[self.status]}"
        error = kind(detail)
        members = document.items() if "type" in document else ()
        error.context = {name: value for name, value in members if name not in _OWN_MEMBERS}
        error.context |= {"status": self.status, "request_id": self._find_request_id()}
        return error

    def _find_request_id(self) -> str | None:
        return next((self.headers[name] for name in _REQUEST_IDS if name in self.headers), None)

    def _read_document(self) -> dict[str, Any]:
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def _excerpt(self) -> str:
        return " ".join(self.body[:_EXCERPT].decode(errors="replace").split())


def _find_kind(document: Mapping[str, Any], status: int) -> type[OnnxletError]:
    slug = str(document.get("type", "")).rpartition(_PROBLEMS)[2]
    named = next((kind for kind in _descendants(OnnxletError) if kind.slug() == slug), None)
    return named or KINDS.get(status, OnnxletError)


def _descendants(kind: type[OnnxletError]) -> Iterator[type[OnnxletError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _descendants(child)


def _reason_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"
