"""A file format from outside the package: tab-separated values, as `onnxlet.batch.formats` takes any module for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from onnxlet.batch.formats.cells import parse_text
from onnxlet.batch.formats.chunks import BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.columns import parse_columns
from onnxlet.batch.formats.ports import Sink, Source
from onnxlet.batch.formats.streams import read_lines
from onnxlet.batch.inputs import Inputs
from onnxlet.values.tensors import Tensors


def open_file(source: Source, sink: Sink, inputs: Inputs) -> TabSeparated:
    """Open a file of a model's columns."""
    return TabSeparated(source, sink, inputs)


class TabSeparated:
    """A header and rows of cells between tabs; a line at the end of the output counts the rows."""

    def __init__(self, source: Source, sink: Sink, inputs: Inputs) -> None:
        self._lines = (line.decode().rstrip("\n").split("\t") for line in read_lines(source))
        self._header = next(self._lines)
        self._sink = sink
        self._inputs = inputs
        self._written = 0

    def chunks(self, rows: int) -> Iterator[Chunk]:
        first = 1
        while lines := list(islice(self._lines, rows)):
            chunk = Chunk()
            for number, cells in enumerate(lines, start=first):
                if len(cells) == len(self._header):
                    chunk.numbers.append(number)
                    chunk.rows.append(dict(zip(self._header, cells, strict=True)))
                else:
                    chunk.bad.append(BadRow(number, "has another number of cells than the header"))
            yield chunk
            first += len(lines)

    def parse(self, chunk: Chunk) -> ParsedRows:
        tensors, positions, bad = parse_columns(
            chunk, self._inputs.columns or (), lambda name: [row.get(name, "") for row in chunk.rows], parse_text
        )
        inputs = {spec.name: tensors[spec.name].reshape(-1, *spec.shape[1:]) for spec in self._inputs.specs}
        return ParsedRows([Batch(positions, inputs)] if positions else [], bad)

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        for place, position in enumerate(positions):
            answers = [str(tensor[place]) for tensor in outputs.values() if tensor.ndim == 1]
            self._sink.write("\t".join([str(chunk.numbers[position]), *answers]).encode() + b"\n")
            self._written += 1

    def close(self) -> None:
        self._sink.write(f"# {self._written} rows\n".encode())
