"""Conditional requests (RFC 9110, section 13): ETags as they stand in If-Match and If-None-Match."""

from __future__ import annotations

import re

from onnxlet.errors import InvalidInputError

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def quoted(etag: str) -> str:
    """A store's ETag as a header writes it; stores differ in whether theirs are quoted already."""
    return etag if etag.startswith('"') else f'"{etag}"'


def matches(header: str, etag: str | None, *, weakly: bool = False) -> bool:
    """Whether a header's list of entity tags, or `*`, holds the ETag of what exists (None: nothing exists).

    If-Match compares strongly, so that a weak tag never matches; If-None-Match compares weakly.
    Raises InvalidInputError if the header is no such list.
    """
    if etag is None:
        return False
    if header.strip() == "*":
        return True
    found = False
    for part in header.split(","):
        tag = _TAG.fullmatch(part.strip())
        if tag is None:
            raise InvalidInputError(f'{header!r} is no list of entity tags: write them as "…", quotes included')
        found = found or (quoted(tag[2]) == quoted(etag) and (weakly or not tag[1]))
    return found
