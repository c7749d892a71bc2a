"""Digests: `sha256:` and 64 hexadecimal digits, of bytes, of files and of what arrives in parts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from hashlib import _Hash

ALGORITHM = "sha256:"
FEW_BYTES = 2**20
"""Bytes up to which they are hashed by Python's own code: importing `hashlib` loads OpenSSL, 3 ms of a cold start."""
PART_BYTES = 2**20
"""Bytes that are read at once for a running digest."""


def new_sha256(size: int | None = None) -> _Hash:
    """What hashes about `size` bytes; None: many."""
    if size is not None and size <= FEW_BYTES:
        try:
            from _sha2 import sha256  # type: ignore[import-not-found]
        except ImportError:  # before Python 3.12
            pass
        else:
            own: _Hash = sha256()
            return own
    import hashlib

    return hashlib.sha256()


def sha256_of(data: bytes | bytearray | memoryview) -> str:
    """The hexadecimal digits of the hash of bytes in memory."""
    sha256 = new_sha256(len(data))
    sha256.update(data)
    return sha256.hexdigest()


def digest(data: bytes | bytearray | memoryview) -> str:
    """The digest of bytes in memory."""
    return ALGORITHM + sha256_of(data)


def file_digest(path: str | os.PathLike[str]) -> str:
    """The digest of a file, which is read in parts. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return ALGORITHM + sha256_of_file(file)


def sha256_of_file(file: io.BufferedReader | io.FileIO) -> str:
    """The hexadecimal digits of the hash of an open file, which is read in parts from where it stands."""
    if os.fstat(file.fileno()).st_size <= FEW_BYTES:
        return sha256_of(file.read())
    import hashlib

    return hashlib.file_digest(file, "sha256").hexdigest()


class RunningDigest:
    """The digest of a file that is open, or still written: a part of it at a time, whenever there is time."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._sha256 = new_sha256()
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


def parts_digest(parts: Iterable[bytes | memoryview], size: int | None = None) -> str:
    """The digest of bytes that come one part after the other, `size` of them if that is known."""
    sha256 = new_sha256(size)
    for part in parts:
        sha256.update(part)
    return ALGORITHM + sha256.hexdigest()
