"""HTTP: one connection pool, time-outs, and retries of what may be asked twice.

urllib3 speaks it: botocore needs it too, it brings nothing along, and it verifies certificates. The loop of retries is
ours, because each try is signed anew, and because what a server says (Retry-After) and what is safe decide together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import PoolManager, ProxyManager, Timeout, make_headers
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.util import Retry, parse_url

from onnxlet.client.auth import make_authorization
from onnxlet.client.responses import Response
from onnxlet.errors import DeadlineExceededError, InvalidInputError, OnnxletError, UnavailableError
from onnxlet.version import __version__

BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Statuses after which the same request may be sent again."""
CONNECT_TIMEOUT = 10.0
"""Seconds in which a connection must stand."""
BACKOFF = 0.25
"""Seconds that the first retry waits at most; each one after it twice as many."""
MAX_BACKOFF = 8.0
MAX_RETRY_AFTER = 30.0
"""Seconds that a server may ask to wait; if it asks for more, the caller is told at once."""

_UNANSWERED = (NewConnectionError, ConnectTimeoutError, ProtocolError)
"""What ends a request before a byte of the answer has come."""


class Transport:
    """Requests to one server. May be used from several threads at once."""

    def __init__(self, url: str, auth: str | None, *, timeout: float, retries: int) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInputError(f"{url!r} is no address of a server: it starts with http:// or https://")
        if parts.username is not None or parts.query or parts.fragment:
            raise InvalidInputError("the address of a server has neither a user name nor a query: see connect(auth=…)")
        self.url = url.rstrip("/")
        self._timeout = timeout
        self.retries = retries
        self._authorization = make_authorization(auth, parts.hostname)
        self._pool = _make_pool(
            parts.scheme, parts.hostname, Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout)
        )

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.clear()

    def get(self, path: str, *, retry: bool = True) -> Response:
        """What the server has at `path`. Raises as `call` does."""
        return self.call("GET", path, None, {}, retry=retry)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """The answer to JSON that may be sent twice, a prediction say. Raises as `call` does."""
        return self.call("POST", path, body, headers, retry=True)

    def call(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, retry: bool) -> Response:
        """The answer to a request, with `retry` asked again while the server is busy or cannot be reached.

        Raises the error that a refusal stands for; UnavailableError if no whole answer comes, DeadlineExceededError if
        it takes too long.
        """
        pauses = backoff(self.retries if retry else 0)
        while True:
            pause = next(pauses, None)
            try:
                response = self._send(method, path, body, headers)
            except _UNANSWERED as error:
                if pause is None:
                    raise self._describe_silence(error) from error
            else:
                if response.status < HTTPStatus.MULTIPLE_CHOICES:
                    return response
                retry_after = _read_retry_after(response)
                if response.status not in BUSY or pause is None or retry_after > MAX_RETRY_AFTER:
                    raise self._describe_refusal(response, retry_after)
                pause += retry_after
            time.sleep(pause)

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        """One request and its whole answer. Raises what `_UNANSWERED` lists before its first byte."""
        url = self.url + path
        headers = {"Accept": "application/json", **headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        headers |= self._authorization(method, url, headers, body)
        headers |= {"User-Agent": f"onnxlet/{__version__}", "Accept-Encoding": "gzip"}
        try:
            response = self._pool.request(method, url, body=body, headers=headers, preload_content=False)
        except _UNANSWERED:
            raise
        except HTTPError as error:
            raise self._describe_failure(error) from error
        try:
            return Response(response.status, response.headers, response.read())
        except HTTPError as error:
            raise self._describe_failure(error) from error

    def _describe_silence(self, error: HTTPError) -> UnavailableError:
        return UnavailableError(
            f"no server answers at {self.url!r}: {_explain(error)}; check the address, and that the server runs",
            url=self.url,
        )

    def _describe_failure(self, error: HTTPError) -> UnavailableError:
        if isinstance(error, ReadTimeoutError):
            return DeadlineExceededError(
                f"{self.url!r} did not answer within {self._timeout:g} s: send fewer rows per request, or connect with "
                "a longer timeout",
                url=self.url,
            )
        return UnavailableError(f"the request to {self.url!r} failed: {_explain(error)}", url=self.url)

    def _describe_refusal(self, response: Response, retry_after: float) -> OnnxletError:
        if response.status < HTTPStatus.BAD_REQUEST:
            target = response.headers.get("Location", "another address")
            return InvalidInputError(f"{self.url!r} redirects to {target!r}: connect to that", status=response.status)
        error = response.to_error()
        if retry_after:
            context = error.context | {"retry_after": retry_after}
            error = type(error)(f"{error.detail}; it asks to come back in {retry_after:g} s", **context)
        return error


def _make_pool(scheme: str, host: str, timeout: Timeout) -> PoolManager:
    """Connections, through the proxy that the environment names (HTTPS_PROXY, NO_PROXY), if any."""
    proxies = {} if proxy_bypass(host) else getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy:
        return PoolManager(timeout=timeout, retries=False)
    credentials = parse_url(proxy).auth
    headers = make_headers(proxy_basic_auth=unquote(credentials)) if credentials else None
    return ProxyManager(proxy, proxy_headers=headers, timeout=timeout, retries=False)


def backoff(retries: int) -> Iterator[float]:
    """Seconds to wait before each retry: anything up to a bound that doubles ("full jitter"), so that clients that were
    sent away together do not come back together.
    """
    for attempt in range(retries):
        yield random.uniform(0, min(MAX_BACKOFF, BACKOFF * 2**attempt))  # noqa: S311 - nobody gains by guessing it


def _read_retry_after(response: Response) -> float:
    """The seconds that the server asks to wait, which it says as a number or as a date; 0 if it does not say."""
    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0


def _explain(error: HTTPError) -> str:
    """What happened, in the words of the system where it has some."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(error.args[-1] if error.args else error) or type(error).__name__
