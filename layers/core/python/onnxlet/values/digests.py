"""Digests: `sha256:` and 64 hexadecimal digits, of bytes, of files and of what arrives in parts."""

import hashlib
import os
from collections.abc import Iterable

ALGORITHM = "sha256:"


def digest(data: bytes | bytearray | memoryview) -> str:
    """The digest of bytes in memory."""
    return ALGORITHM + hashlib.sha256(data).hexdigest()


def file_digest(path: str | os.PathLike[str]) -> str:
    """The digest of a file, which is read in parts. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return ALGORITHM + hashlib.file_digest(file, "sha256").hexdigest()


def parts_digest(parts: Iterable[bytes | memoryview]) -> str:
    """The digest of bytes that come one part after the other."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part)
    return ALGORITHM + sha256.hexdigest()
