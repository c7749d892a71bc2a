"""HTTP messages as the doors hand them around: what a Lambda event or a local connection is read into."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Request:
    """One HTTP request. `path` is percent-decoded once; `headers` have lower-case names; `body` is as it came, still
    compressed if `content-encoding` says so, but never base64.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """One HTTP answer. Header names are written as they shall be sent."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
