"""A file format from outside the package: tab-separated values, as `onnxlet.batch.formats` takes any module for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnxlet.batch.formats.cells import parse_text
from onnxlet.batch.formats.chunks import BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.columns import parse_columns
from onnxlet.batch.formats.ports import Note, Place, Sink, Source
from onnxlet.batch.formats.streams import read_lines
from onnxlet.batch.inputs import Inputs
from onnxlet.values.tensors import Tensors

ROWS_A_RANGE = 3


def open_table(source: Source, inputs: Inputs) -> TabSeparated:
    """Open a file of a model's columns."""
    return TabSeparated(source, inputs)


class TabSeparated:
    """A header and rows of cells between tabs; a line at the end of the output counts the rows.

    Places are counted in rows, three of which are a range.
    """

    first = Place(0, 1)
    divisible = True

    def __init__(self, source: Source, inputs: Inputs) -> None:
        self.header, *self.rows = (line.decode().rstrip("\n").split("\t") for line in read_lines(source))
        self.inputs = inputs

    def open_range(self, start: Place, sink: Sink) -> Rows:
        return Rows(self, start, sink)

    def heading(self) -> bytes:
        return b""

    def seal(self, heading: bytes, rows: int) -> bytes:  # noqa: ARG002
        return heading

    def ending(self, rows: int, _notes: Sequence[Note]) -> bytes:
        return f"# {rows} rows\n".encode()


class Rows:
    """The rows of a range."""

    heading = b""

    def __init__(self, table: TabSeparated, start: Place, sink: Sink) -> None:
        self.end = start
        self._table = table
        self._sink = sink

    def chunks(self, rows: int) -> Iterator[Chunk]:
        assert rows >= ROWS_A_RANGE
        first = self.end.position
        lines = self._table.rows[first : first + ROWS_A_RANGE]
        numbers: list[int] = []
        chunk = Chunk(numbers)
        for number, cells in enumerate(lines, start=first + 1):
            if len(cells) == len(self._table.header):
                numbers.append(number)
                chunk.rows.append(dict(zip(self._table.header, cells, strict=True)))
            else:
                chunk.bad.append(BadRow(number, "has another number of cells than the header"))
        self.end = Place(first + len(lines), first + len(lines) + 1)
        yield chunk

    def parse(self, chunk: Chunk) -> ParsedRows:
        specs, columns = self._table.inputs.specs, self._table.inputs.columns or ()
        tensors, positions, bad = parse_columns(
            chunk, columns, lambda name: [row.get(name, "") for row in chunk.rows], parse_text
        )
        inputs = {spec.name: tensors[spec.name].reshape(-1, *spec.shape[1:]) for spec in specs}
        return ParsedRows([Batch(positions, inputs)] if positions else [], bad)

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        for place, position in enumerate(positions):
            answers = [str(tensor[place]) for tensor in outputs.values() if tensor.ndim == 1]
            self._sink.write("\t".join([str(chunk.numbers[position]), *answers]).encode() + b"\n")

    def finish(self) -> bytes:
        return b""
