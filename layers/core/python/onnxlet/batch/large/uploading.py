"""How parts become one object by a multipart upload: which bytes are copied from where they are, and which are sent.

S3 takes parts of 5 MiB to 5 GiB, the last one may be smaller, and copies ranges of objects as parts by itself. What is
too small for that is read and sent together with what follows.
Limits: docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

LEAST_PART = 5 * 2**20
MOST_BYTES = 5 * 2**30


class Extent(NamedTuple):
    """Bytes of an object, from `start` to `end`."""

    key: str
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.end - self.start


Chunk = bytes | Extent
"""Some bytes of what is to be one object: at hand, or in an object."""


class Copied(NamedTuple):
    """A part that the store copies by itself."""

    extent: Extent


class Sent(NamedTuple):
    """A part that is read and sent."""

    chunks: tuple[Chunk, ...]


def plan_upload(chunks: Iterable[Chunk], least: int = LEAST_PART, most: int = MOST_BYTES) -> Iterator[Copied | Sent]:
    """The parts of an upload of all chunks, in their order; each but the last has `least` bytes at least."""
    small: list[Chunk] = []
    for chunk in _cut(chunks, most):
        rest = chunk
        if small:
            taken, rest = _split(chunk, max(0, least - sum(map(_size, small))))
            if _size(rest) < least:
                taken, rest = chunk, b""
            small += [taken] if _size(taken) else []
            if sum(map(_size, small)) >= least:
                yield Sent(tuple(small))
                small = []
        if isinstance(rest, Extent) and rest.size >= least:
            yield Copied(rest)
        elif _size(rest):
            small.append(rest)
    if small:
        yield Sent(tuple(small))


def _cut(chunks: Iterable[Chunk], most: int) -> Iterator[Chunk]:
    for chunk in chunks:
        rest = chunk
        while _size(rest) > most:
            # halves: what remains is not too small to be a part
            taken, rest = _split(rest, most if _size(rest) >= 2 * most else _size(rest) // 2)
            yield taken
        if _size(rest):
            yield rest


def _split(chunk: Chunk, size: int) -> tuple[Chunk, Chunk]:
    if isinstance(chunk, bytes):
        return chunk[:size], chunk[size:]
    middle = min(chunk.end, chunk.start + size)
    return Extent(chunk.key, chunk.start, middle), Extent(chunk.key, middle, chunk.end)


def _size(chunk: Chunk) -> int:
    return len(chunk) if isinstance(chunk, bytes) else chunk.size
