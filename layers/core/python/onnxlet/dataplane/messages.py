"""HTTP messages as the doors hand them around: what a Lambda event or a local connection is read into."""

import msgspec


class Request(msgspec.Struct):
    """One HTTP request. `path` is percent-decoded once; `headers` have lower-case names; `body` is as it came, still
    compressed if `content-encoding` says so, but never base64.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""


class Response(msgspec.Struct):
    """One HTTP answer. Header names are written as they shall be sent."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
