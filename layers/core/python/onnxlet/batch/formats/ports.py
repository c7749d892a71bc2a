"""What formats are given and what they give: where bytes come from, where bytes go, tables of rows between them.

A table is read range by range, each of which begins where the one before ends: whoever has read where a range's rows
end may hand that place to another process before it scores them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

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

    def write(self, data: bytes | memoryview, /) -> int:
        """Append bytes."""


class Place(NamedTuple):
    """Where a row begins: its position as its format counts them, in bytes of lines say, and its number."""

    position: int
    row: int


class Note(NamedTuple):
    """What a range told of what it wrote, for the ending, and where that stands."""

    offset: int
    told: bytes


class RowRange(Protocol):
    """Some rows of a table: it reads them, parses them as the model's inputs, and writes their like.

    All methods raise InvalidInputError if the file as a whole cannot be scored.
    """

    end: Place
    """Where the next range begins: from the start if the file says so, else once all chunks were taken.

    It is where this one begins if there are no more rows.
    """

    @property
    def heading(self) -> bytes | None:
        """What stands at the beginning of the output, once a row is written: the same for all ranges."""

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, in order, at most `rows` at a time."""

    def parse(self, chunk: Chunk) -> ParsedRows:
        """The tensors of a chunk's rows, and the rows that have none."""

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Write the rows at `positions` of a chunk: number, the columns that the model does not use, its outputs.

        `outputs` have one element for each position.
        """

    def finish(self) -> bytes:
        """Write what is still to be written of the rows; what the table's ending must know of them."""


class Table(Protocol):
    """A file of rows, opened for one model: what is decided once for all ranges. Other processes may be forked with it.

    Where ranges end depends on nothing but the file.
    """

    first: Place
    """Where the first range begins."""
    divisible: bool
    """Whether ranges can be read by several processes; if not, each is read quickly only after the one before."""

    def open_range(self, start: Place, sink: Sink) -> RowRange:
        """The range of rows that begins at a place, a few megabytes; its rows are written to `sink`."""

    def heading(self) -> bytes:
        """What stands at the beginning of an output without rows."""

    def seal(self, heading: bytes, rows: int) -> bytes:
        """What the heading of an output is in the end, when there are so many rows: as long as it was."""

    def ending(self, rows: int, notes: Sequence[Note], /) -> bytes:
        """What stands at the end of an output of so many rows, and what its ranges told, in order."""
