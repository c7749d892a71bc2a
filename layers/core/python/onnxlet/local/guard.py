"""The guard: who may ask the local server, and for what, before anything else looks at a request.

Under a name that is not the server's, nothing is answered but health checks. With a token, nobody without it learns or
changes anything. The registry is changed by no page of another site, by nobody if the server is read-only, and beyond
this machine by nobody without a token. Predictions change nothing: pages may ask for them as they always could.
"""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import NamedTuple

import orjson

from onnxlet.dataplane.messages import JSON, Response
from onnxlet.dataplane.protocols import checks_health, owns_path
from onnxlet.errors import AccessDeniedError, InvalidInputError, OnnxletError
from onnxlet.local.asgi import Scope
from onnxlet.local.hosts import ANY, Hosts, host_of
from onnxlet.settings import Settings
from onnxlet.values.tokens import is_token

PROBLEM = "application/problem+json"
CUSTOM = b"x-requested-with"
"""The header that a change without a body needs: no other site's page can send one unless the server lets it."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = ("/docs", "/openapi.json", "/problems")
"""What describes the API, the same for everybody. A browser opens a page without a token."""
_BELOW_OPEN = tuple(f"{page}/" for page in _OPEN)
_OWN_SITE = frozenset({b"same-origin", b"none"})
_ORIGIN_SCHEMES = (b"http://", b"https://")


class Refusal(NamedTuple):
    """Why a request is not answered, and with which status."""

    status: HTTPStatus
    detail: str

    def to_response(self, path: str) -> Response:
        """The answer, in the form of the plane that owns the path."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == HTTPStatus.UNAUTHORIZED else {}
        if owns_path(path):
            return Response(self.status, orjson.dumps({"error": self.detail}), headers | {"Content-Type": JSON})
        denied = self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        kind: type[OnnxletError] = AccessDeniedError if denied else InvalidInputError
        document = {
            "type": f"/problems/{kind.slug()}",
            "title": kind.title,
            "status": self.status,
            "detail": self.detail,
            "instance": path,
            "error": self.detail,
        }
        return Response(self.status, orjson.dumps(document), headers | {"Content-Type": PROBLEM})


class Guard:
    """Judges requests by their heads."""

    def __init__(self, settings: Settings, host: str, *, exposed: bool) -> None:
        """`host` is what the server listens on, `exposed` whether that is reached from other machines.

        Raises InvalidInputError for hosts, origins or a token that can be none.
        """
        self._hosts = Hosts([*([host] if host else []), *split(settings.allowed_hosts)])
        self._origins = frozenset(
            check_origin(origin).encode() for origin in split(settings.allowed_origins) if origin != ANY
        )
        if settings.token and not is_token(settings.token):  # which is not repeated, for logs keep errors
            raise InvalidInputError(
                "a bearer token has letters, digits and -._~+/ alone: `openssl rand -hex 32` prints a good one"
            )
        self._token = settings.token.encode()
        self._closed = ""
        if settings.read_only:
            self._closed = "this server is read-only: change the registry with the onnxlet command, on its store"
        elif exposed and not self._token:
            self._closed = (
                "this server is reached from other machines and asks nobody who they are, so the registry cannot be "
                "changed here: start it with a token (ONNXLET_TOKEN or --token)"
            )

    def judge(self, scope: Scope) -> Refusal | None:
        """Why the request of an HTTP scope is refused; None if it is not."""
        path: str = scope["path"]
        if checks_health(path):
            return None
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        refusal = self._judge_host(headers, scope["http_version"])
        if refusal is None and self._token and not _is_open(path):
            refusal = self._judge_token(headers)
        if refusal is None and scope["method"] not in _READS and not owns_path(path):
            refusal = self._judge_change(headers)
        return refusal

    def _judge_host(self, headers: list[tuple[bytes, bytes]], version: str) -> Refusal | None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            if not hosts and version == "1.0":  # no browser is that old
                return None
            return Refusal(HTTPStatus.BAD_REQUEST, "a request has one Host header")
        if self._hosts.accept(hosts[0]):
            return None
        host = host_of(hosts[0])
        if host is None:
            return Refusal(HTTPStatus.BAD_REQUEST, "the Host header names no host")
        return Refusal(
            HTTPStatus.FORBIDDEN,
            f"this server does not answer to the name {host!r}: if it is one of its names, start it with "
            f"--allowed-host {host} (ONNXLET_ALLOWED_HOSTS)",
        )

    def _judge_token(self, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        values = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        if scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(b" "), self._token):
            return None
        told = "the token is not this server's" if values else "this server asks for its token"
        return Refusal(HTTPStatus.UNAUTHORIZED, f"{told}: send it as 'Authorization: Bearer …'")

    def _judge_change(self, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        if self._closed:
            return Refusal(HTTPStatus.FORBIDDEN, self._closed)
        if not self._is_own_page(headers):
            return Refusal(
                HTTPStatus.FORBIDDEN,
                "a page of another site cannot change the registry: if it may, start the server with --allow-origin",
            )
        types = [value for name, value in headers if name == b"content-type"]
        if not (all(map(_is_json, types)) if types else any(name == CUSTOM and value for name, value in headers)):
            return Refusal(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "a change of the registry is JSON: send Content-Type: application/json, or without a body "
                "X-Requested-With: and your program's name",
            )
        return None

    def _is_own_page(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request comes from no page at all, from one of this server's, or from one that may ask."""
        origins = {value.lower() for name, value in headers if name == b"origin"}
        if origins and origins <= self._origins:
            return True
        host = next((value.lower() for name, value in headers if name == b"host"), b"")
        sites = {value.lower() for name, value in headers if name == b"sec-fetch-site"}
        return origins <= {scheme + host for scheme in _ORIGIN_SCHEMES} and sites <= _OWN_SITE


def split(text: str) -> list[str]:
    """The members of a list that is separated by commas."""
    return [member.strip() for member in text.split(",") if member.strip()]


def check_origin(origin: str) -> str:
    """An origin as browsers write it. Raises InvalidInputError for what is none."""
    known = origin.lower().removesuffix("/")
    scheme, _, host = known.partition("://")
    if scheme not in ("http", "https") or host_of(host.encode(errors="replace")) is None:
        raise InvalidInputError(f"{origin!r} is no origin: write https://console.example.com", origin=origin)
    return known


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_BELOW_OPEN)


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))
