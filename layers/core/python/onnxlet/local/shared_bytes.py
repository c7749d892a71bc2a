"""Bytes that every worker writes for itself and all can read, in memory that they share and without a lock.

A worker's part has two halves. It writes the one that nobody reads, and then says so in one byte; who reads meanwhile
sees by the checksum whether what was copied is whole, and else copies again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct
from typing import Any

MOST_BYTES = 256 * 1024
"""Of what one worker tells."""
_HEAD = Struct("<II")
_HALF = _HEAD.size + MOST_BYTES
SIZE = 1 + 2 * _HALF
"""Bytes of one worker's part."""
_TRIES = 10


class SharedBytes:
    """The part of one worker, and those of the others. `memory` has SIZE zero bytes for each."""

    def __init__(self, memory: Any = None, worker: int = 0) -> None:  # noqa: ANN401 - any buffer, of ctypes or not
        """Without memory this process writes and reads alone."""
        self._memory = bytearray(SIZE) if memory is None else memory
        self._start = worker * SIZE

    def write(self, data: bytes) -> bool:
        """Replace what this worker tells. False if it is too much; then what it told before stays."""
        if len(data) > MOST_BYTES:
            return False
        view = memoryview(self._memory).cast("B")
        half = 1 - view[self._start]
        begin = self._start + 1 + half * _HALF
        view[begin : begin + _HEAD.size + len(data)] = _HEAD.pack(len(data), zlib.crc32(data)) + data
        view[self._start] = half
        return True

    def own(self) -> bytes:
        """What this worker told, or the one whose place it took."""
        return self._read(self._start)

    def all(self) -> Iterator[bytes]:
        """What each worker told that told anything."""
        for start in range(0, memoryview(self._memory).nbytes, SIZE):
            if data := self._read(start):
                yield data

    def _read(self, start: int) -> bytes:
        view = memoryview(self._memory).cast("B")
        for _ in range(_TRIES):
            begin = start + 1 + view[start] * _HALF
            with suppress(ValueError):
                return _checked(bytes(view[begin : begin + _HALF]))
        return b""


def _checked(half: bytes) -> bytes:
    length, checksum = _HEAD.unpack_from(half)
    data = half[_HEAD.size : _HEAD.size + length]
    if len(data) != length or zlib.crc32(data) != checksum:
        raise ValueError("written meanwhile")
    return data
