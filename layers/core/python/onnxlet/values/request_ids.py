"""Request ids and trace contexts: what callers send of them is taken only where it can stand in a log and a header."""

from __future__ import annotations

import os
import re
from functools import cache

_ID_BYTES = 16
_AT_ONCE = 64
_ID = r"[A-Za-z0-9._~:/+=@-]{1,128}"
_TRACE = r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
"""Source: Trace Context, W3C recommendation, "traceparent header field values"; of later versions the known parts."""


def request_id(sent: str | None, known: str = "") -> str:
    """The id of a request: what was `sent`, else what is `known` of it, else a new one."""
    if sent is not None and _pattern(_ID).fullmatch(sent):
        return sent
    return known or _new_id()


_drawn: list[str] = []
"""Random ids for the requests to come: to ask the system for each lets go of the interpreter's lock each time."""


def _new_id() -> str:
    try:
        return _drawn.pop()
    except IndexError:
        random = os.urandom(_ID_BYTES * _AT_ONCE).hex()
        _drawn.extend(random[at : at + 2 * _ID_BYTES] for at in range(0, len(random), 2 * _ID_BYTES))
        return _new_id()


os.register_at_fork(after_in_child=_drawn.clear)  # else parent and child would give the same ones


def trace_context(sent: str | None) -> str:
    """The `traceparent` that was sent; empty for none, and for what is none."""
    return sent if sent is not None and _pattern(_TRACE).fullmatch(sent) else ""


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled when it is first wanted: most cold starts want none."""
    return re.compile(pattern)
