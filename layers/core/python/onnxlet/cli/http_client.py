"""A server asked for JSON, from the command line."""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

from onnxlet.errors import InvalidInputError, OnnxletError, UnavailableError

TIMEOUT = 60.0
"""Seconds that a server may take."""


def request_json(address: str, body: bytes | None = None) -> tuple[dict[str, Any], Message]:
    """POST a JSON body to an address, or GET it without one; the answer and its headers.

    Raises InvalidInputError if it is no HTTP address, UnavailableError if no server answers there, OnnxletError with
    what the server says if it refuses.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    if not address.startswith(("http://", "https://")):
        raise InvalidInputError(f"{address!r} is no address of a server: it starts with http:// or https://")
    request = Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - the scheme was checked
    try:
        with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - same
            return json.load(response), response.headers
    except HTTPError as error:
        raise OnnxletError(f"the server answered {error.code}: {_read_error(error.read())}") from error
    except (URLError, HTTPException, OSError) as error:
        raise UnavailableError(f"no server answers at {address!r}: {getattr(error, 'reason', error)}") from error
    except ValueError as error:
        raise OnnxletError("the server's answer is not JSON") from error


def _read_error(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
