"""What the formats and the scoring loop hand each other: chunks of rows, batches of tensors, rows that are bad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from onnxlet.values.tensors import Tensor, Tensors

CHUNK_ROWS = 1024
"""Rows that are bound and run together."""

CHUNK_BYTES = 8 * 2**20
"""Bytes of JSON Lines after which a chunk is full however few rows it has: an image is a long line."""

LINE_BYTES = 32 * 2**20
"""The longest line that is read; a file with a longer one is no file of rows."""


class BadRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row that was not scored: its number, why, and the column to blame if there is one; never the row's values."""

    row: int
    error: str
    column: str | None = None


@dataclass(slots=True)
class Chunk:
    """Some rows as their file has them, with their numbers (the first row is 1), and those that could not be read."""

    numbers: list[int] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


class Batch(NamedTuple):
    """Tensors of some rows of a chunk, and the rows' positions in it."""

    positions: Sequence[int]
    inputs: Tensors


class Bound(NamedTuple):
    """A chunk that was turned into tensors, and the rows that could not be."""

    batches: list[Batch]
    bad: list[BadRow]


class Format(Protocol):
    """A file of rows, opened for one model: reads it, knows its rows as that model's inputs, and writes its like.

    `start` may be called once the model's outputs are known; all methods raise InvalidInputError if the file as a
    whole cannot be scored.
    """

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, in order, at most `rows` at a time."""

    def bind(self, chunk: Chunk) -> Bound:
        """The tensors of a chunk's rows."""

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: dict[str, Tensor]) -> None:
        """Write the rows at `positions`: number, the columns that the model does not use, and its outputs."""
