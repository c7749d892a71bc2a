"""What the formats and the scoring loop hand each other: chunks of rows, batches of tensors, rows that are bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from onnxlet.values.tensors import Tensors

CHUNK_ROWS = 8192
"""Rows that are parsed and written together, at most."""
RUN_ROWS = 2048
"""Rows that are run together, at most."""


class BadRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row that was not scored: its number, why, and the column to blame if there is one; never the row's values.

    `byte` is where it begins in the file, or in what the file holds if that is compressed.
    """

    row: int
    error: str
    column: str | None = None
    byte: int | None = None


@dataclass(slots=True)
class Chunk:
    """Some rows as their file has them, with their numbers (the first row is 1), and those that could not be read."""

    numbers: Sequence[int] = ()
    rows: list[Any] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    def locate(self, number: int) -> int | None:  # noqa: ARG002 - formats do
        """Where the row of this number begins in the file, in bytes, if that is known."""
        return None


class Batch(NamedTuple):
    """Tensors of some rows of a chunk, and the rows' positions in it."""

    positions: Sequence[int]
    inputs: Tensors


class ParsedRows(NamedTuple):
    """The rows of a chunk as tensors, and those that cannot be."""

    batches: list[Batch]
    bad: list[BadRow]
