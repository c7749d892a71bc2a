"""Request ids and trace contexts: what callers send of them is taken only where it can stand in a log and a header."""

from __future__ import annotations

import os
import re
from functools import cache

_ID = r"[A-Za-z0-9._~:/+=@-]{1,128}"
_TRACE = r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
"""Source: Trace Context, W3C recommendation, "traceparent header field values"; of later versions the known parts."""


def request_id(sent: str | None, known: str = "") -> str:
    """The id of a request: what was `sent`, else what is `known` of it, else a new one."""
    if sent is not None and _pattern(_ID).fullmatch(sent):
        return sent
    return known or os.urandom(16).hex()


def trace_context(sent: str | None) -> str:
    """The `traceparent` that was sent; empty for none, and for what is none."""
    return sent if sent is not None and _pattern(_TRACE).fullmatch(sent) else ""


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled when it is first wanted: most cold starts want none."""
    return re.compile(pattern)
