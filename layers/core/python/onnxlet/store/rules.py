"""What every store holds to: which keys and prefixes are legal, and the errors that all of them raise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError, InvalidNameError, ObjectNotFoundError, PreconditionFailedError

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEY_BYTES = 1024
"""S3's limit for a whole key."""
MAX_SEGMENT_BYTES = 255
"""The limit of common file systems for one name."""
RESERVED = ".onnxlet"
"""The directory store's own folder; as a first segment it is refused everywhere."""

_UNSAFE = r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]"  # compiled when a key is not plain: it takes a millisecond
_PLAIN = re.compile(r"[a-z0-9_-][a-z0-9._-]*(?:/[a-z0-9_-][a-z0-9._-]*)*")


def check_key(key: str) -> str:
    """The key itself. Raises InvalidNameError for one that not every store could hold safely."""
    if len(key) <= MAX_SEGMENT_BYTES and _PLAIN.fullmatch(key):
        return key
    _check("key", key, key.split("/"))
    return key


def check_prefix(prefix: str) -> str:
    """The prefix itself: the beginning of a key, cut anywhere. Raises InvalidNameError."""
    *folders, _ = prefix.split("/")
    _check("prefix", prefix, folders)
    return prefix


def check_range(start: int, length: int) -> None:
    """Raises InvalidInputError for a range that no object has."""
    if start < 0 or length < 0:
        raise InvalidInputError(f"a range starts at 0 or later and is not negative, not {length} bytes from {start}")


def not_found_error(url: str, key: str) -> ObjectNotFoundError:
    """The error of a key that the store does not hold."""
    return ObjectNotFoundError(f"{url!r} holds no object {key!r}", store=url, key=key)


def already_exists_error(url: str, key: str) -> PreconditionFailedError:
    """The error of creating what is there already."""
    return PreconditionFailedError(f"{key!r} exists already in {url!r}", store=url, key=key)


def changed_error(url: str, key: str, etag: str) -> PreconditionFailedError:
    """The error of replacing or removing what somebody else has changed."""
    return PreconditionFailedError(
        f"{key!r} in {url!r} was changed or removed by somebody else: read it again", store=url, key=key, etag=etag
    )


def overwritten_error(url: str, key: str, etag: str) -> PreconditionFailedError:
    """The error of reading on in an object that is another one now."""
    return PreconditionFailedError(
        f"{key!r} in {url!r} was overwritten while it was read: read it from its beginning",
        store=url,
        key=key,
        etag=etag,
    )


def unreadable_error(path: Path, error: OSError) -> InvalidInputError:
    """The error of a file that is to be written to a store and cannot be read."""
    return InvalidInputError(f"the file {str(path)!r} cannot be read: {error.strerror}", path=str(path))


def _check(kind: str, text: str, segments: list[str]) -> None:
    if re.search(_UNSAFE, text):
        raise InvalidNameError(f"{kind} {text!r} has a control character or a backslash in it", key=text)
    if not all(segments) or "." in segments or ".." in segments:
        raise InvalidNameError(f"{kind} {text!r} has an empty, '.' or '..' segment", key=text)
    if segments and segments[0] == RESERVED:
        raise InvalidNameError(f"{kind} {text!r} lies in {RESERVED!r}, which is reserved", key=text)
    if len(text.encode()) > MAX_KEY_BYTES or any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        raise InvalidNameError(
            f"{kind} {text!r} is too long: {MAX_KEY_BYTES} bytes, and {MAX_SEGMENT_BYTES} between slashes", key=text
        )
