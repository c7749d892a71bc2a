"""Entity tags (RFC 9110, section 8.8.3), and the conditional requests that are made with them (section 13)."""

from __future__ import annotations

import re

from onnxlet.errors import InvalidInputError

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def format_etag(etag: str) -> str:
    """A store's ETag as the ETag header writes it: in quotes, which some stores put there themselves."""
    return etag if etag.startswith('"') else f'"{etag}"'


def etag_matches(header: str, etag: str | None, *, weakly: bool = False) -> bool:
    """Whether the list of an If-Match or If-None-Match header holds `etag`; `*` holds every one.

    An `etag` of None says that nothing exists, which no header matches. If-Match compares strongly: a weak tag never
    matches. If-None-Match compares `weakly`. Raises InvalidInputError if the header is no list of entity tags.

        etag_matches('"a", W/"b"', "b", weakly=True)  # True
    """
    if etag is None:
        return False
    if header.strip() == "*":
        return True
    tags = [_parse_tag(part, header) for part in header.split(",")]
    return any(tag == format_etag(etag) and (weakly or not weak) for tag, weak in tags)


def _parse_tag(text: str, header: str) -> tuple[str, bool]:
    """An entity tag in its quotes, and whether it is weak."""
    match = _TAG.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(f'{header!r} is no list of entity tags: write them as "…", quotes included')
    return format_etag(match[2]), bool(match[1])
