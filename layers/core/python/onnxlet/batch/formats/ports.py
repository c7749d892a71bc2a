"""What formats are given and what they give: where bytes come from, where bytes go, a file of rows between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from onnxlet.batch.formats.chunks import Chunk, ParsedRows
from onnxlet.values.tensors import Tensors


class Source(Protocol):
    """The bytes of one file, read by ranges."""

    @property
    def size(self) -> int:
        """How many there are."""

    def read(self, start: int, length: int) -> bytes | memoryview:
        """Read `length` bytes from `start`; fewer where the file ends sooner."""


class Sink(Protocol):
    """Where the bytes of one file go, in order."""

    def write(self, data: bytes, /) -> int:
        """Append bytes."""


class RowFile(Protocol):
    """A file of rows, opened for one model: it reads rows, parses them as the model's inputs, and writes its like.

    All methods raise InvalidInputError if the file as a whole cannot be scored.
    """

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, in order, at most `rows` at a time."""

    def parse(self, chunk: Chunk) -> ParsedRows:
        """The tensors of a chunk's rows, and the rows that have none."""

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Write the rows at `positions` of a chunk: number, the columns that the model does not use, its outputs.

        `outputs` have one element for each position.
        """

    def close(self) -> None:
        """Write what stands at the end of the file, once all rows are written."""
