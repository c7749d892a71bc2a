"""Digests: `sha256:` and 64 hexadecimal digits, of bytes, of files and of what arrives in parts."""

import hashlib
import os
from collections.abc import Iterable

ALGORITHM = "sha256:"
PART_BYTES = 2**20
"""Bytes that are read at once for a running digest."""


def digest(data: bytes | bytearray | memoryview) -> str:
    """The digest of bytes in memory."""
    return ALGORITHM + hashlib.sha256(data).hexdigest()


def file_digest(path: str | os.PathLike[str]) -> str:
    """The digest of a file, which is read in parts. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return ALGORITHM + hashlib.file_digest(file, "sha256").hexdigest()


class RunningDigest:
    """The digest of a file that is open, or still written: a part of it at a time, whenever there is time."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._position = 0

    def advance(self, size: int) -> bool:
        """Read on, at most to `size`; False if that is reached. Raises OSError where the file cannot be read."""
        part = os.pread(self._file, min(PART_BYTES, max(0, size - self._position)), self._position)
        self._sha256.update(part)
        self._position += len(part)
        return bool(part)

    def finish(self, size: int) -> str:
        """The digest of the file's first bytes, so many of them. Raises OSError where the file cannot be read."""
        while self.advance(size):
            pass
        return ALGORITHM + self._sha256.hexdigest()


def parts_digest(parts: Iterable[bytes | memoryview]) -> str:
    """The digest of bytes that come one part after the other."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part)
    return ALGORITHM + sha256.hexdigest()
