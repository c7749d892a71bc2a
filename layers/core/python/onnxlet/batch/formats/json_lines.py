"""JSON Lines (one JSON value a line, UTF-8): rows in, rows and predictions out.

For a model with named columns a line is an object of them; for any other it is an instance as TensorFlow Serving's
REST API takes it: the bare value of the only input, or an object of the inputs' values. The output is one object a
line: the members of the input's, all or those to keep, as their bytes were, then `row`, the outputs and
`model_version`. A member that is called like one of these is kept as `input_<name>`; a bare value has no name and is
not kept. Blank lines are no rows. Null is a missing value to a model that can do with one; a column without a default
that is not there at all is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import orjson

from onnxlet.batch.formats.blocks import LineBlocks, RowStarts
from onnxlet.batch.formats.cells import BadCellError, Empty, parse_json
from onnxlet.batch.formats.chunks import BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.columns import merge_columns, parse_columns
from onnxlet.batch.formats.elements import read_elements
from onnxlet.batch.formats.json_output import JsonOutput
from onnxlet.batch.formats.json_rows import JsonColumns, JsonInstances, Reading
from onnxlet.batch.formats.ports import Note, Place, Sink, Source
from onnxlet.batch.inputs import Inputs
from onnxlet.batch.planning import Lines, scan_json_lines
from onnxlet.errors import InvalidInputError
from onnxlet.values.tensors import Tensors

_BLANKS = re.compile(rb"(?:\s*\n)*[ \t\r]*")
"""What can stand between two lines that are rows."""
_BRACKETS = {b"{", b"}", b"[", b"]"}


def open_table(source: Source, inputs: Inputs) -> JsonTable:
    """Open a JSON Lines file for a model."""
    return JsonTable(source, inputs)


def open_lines(source: Source, _separator: str) -> Lines:
    """A JSON Lines file to be scanned."""
    return Lines(source, scan_json_lines)


@dataclass(slots=True)
class JsonChunk(Chunk):
    """Lines, which begin at the `starts` from the place `offset` on."""

    starts: RowStarts | None = None
    offset: int = 0

    def locate(self, number: int) -> int | None:
        """Where the row of this number begins in the file, in bytes."""
        return None if self.starts is None else self.starts.all[self.offset + number - self.numbers[0]]


class JsonTable:
    """A JSON Lines file opened for a model."""

    first = Place(0, 1)
    divisible = True

    def __init__(self, source: Source, inputs: Inputs) -> None:
        if inputs.header is not None:
            raise InvalidInputError("lines of JSON name their columns themselves: declare none")
        self._source = source
        self._inputs = inputs
        self._reader = JsonReader(inputs)

    def open_range(self, start: Place, sink: Sink) -> JsonRange:
        """The lines from a place to the end of its range."""
        lines = LineBlocks(self._source, start.position)
        output = JsonOutput(sink, self._inputs)
        return JsonRange(lines, start, self._reader, output, self._inputs.range_rows or inf)

    def heading(self) -> bytes:
        """Nothing stands at the beginning of JSON Lines."""
        return b""

    def seal(self, heading: bytes, rows: int) -> bytes:  # noqa: ARG002 - it does not say
        """The same."""
        return heading

    def ending(self, _rows: int, _notes: Sequence[Note], /) -> bytes:
        """Nor at the end."""
        return b""


class JsonReader:
    """Reads lines as a model's inputs; it learns which members they have."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._columns = None if inputs.columns is None else JsonColumns(inputs.columns)
        self._instances = JsonInstances(inputs.specs[0]) if self._columns is None and len(inputs.specs) == 1 else None
        self._members = {spec.name for spec in inputs.specs}

    @property
    def members(self) -> Iterable[str]:
        """The names of all members that the lines read so far may have."""
        return self._members if self._columns is None else self._columns.members

    def read(self, chunk: Chunk) -> ParsedRows:
        """The tensors of a chunk's rows: columns if the model has them, instances otherwise."""
        if self._columns is not None:
            return self._parse_columns(chunk, self._columns)
        reading = Reading([], {}, list(range(len(chunk.rows))))
        if self._instances is not None:
            reading = self._instances.read(chunk.rows)
        judged = self._judge_instances(chunk, reading.doubtful)
        quick = [Batch(reading.positions, reading.tensors)] if reading.positions else []
        return ParsedRows([*quick, *judged.batches], judged.bad)

    def _parse_columns(self, chunk: Chunk, columns: JsonColumns) -> ParsedRows:
        reading = columns.read(chunk.rows)
        pieces: list[tuple[Sequence[int], Tensors]] = [(reading.positions, reading.tensors)]
        bad: list[BadRow] = []
        if reading.doubtful:
            judged, tensors, bad = self._judge_columns(chunk, reading.doubtful, columns)
            pieces.append((judged, tensors))
        positions, tensors = merge_columns([piece for piece in pieces if piece[0]])
        if not positions:
            return ParsedRows([], bad)
        inputs = {spec.name: tensors[spec.name].reshape(-1, *spec.shape[1:]) for spec in self._inputs.specs}
        return ParsedRows([Batch(positions, inputs)], bad)

    def _judge_columns(
        self, chunk: Chunk, doubtful: Sequence[int], columns: JsonColumns
    ) -> tuple[list[int], Tensors, list[BadRow]]:
        """Lines one by one: positions and columns of the good ones, and the others."""
        rows, positions, bad = self._read_rows(chunk, doubtful)
        numbers = [chunk.numbers[position] for position in positions]

        def cells_of(name: str) -> list[Any]:
            return [row.get(name, Empty.ABSENT) for row in rows]

        parsed = parse_columns(Chunk(numbers, rows), self._inputs.columns or (), cells_of, parse_json)
        for place in parsed.positions:
            columns.learn(rows[place])
        return [positions[place] for place in parsed.positions], parsed.tensors, [*bad, *parsed.bad]

    def _judge_instances(self, chunk: Chunk, doubtful: Sequence[int]) -> ParsedRows:
        """Lines one by one."""
        rows, positions, bad = self._read_rows(chunk, doubtful)
        self._members.update(*rows)
        parsed = read_elements(chunk, zip(positions, rows, strict=True), self._inputs.specs)
        return ParsedRows(parsed.batches, [*bad, *parsed.bad])

    def _read_rows(self, chunk: Chunk, doubtful: Iterable[int]) -> tuple[list[dict[str, Any]], list[int], list[BadRow]]:
        """Lines as members, with their positions, and those that are no JSON, or no row."""
        rows, positions, bad = [], [], []
        for position in doubtful:
            try:
                rows.append(self._read_row(orjson.loads(chunk.rows[position])))
            except orjson.JSONDecodeError:
                bad.append(BadRow(chunk.numbers[position], "not JSON in UTF-8"))
            except BadCellError as error:
                bad.append(BadRow(chunk.numbers[position], str(error)))
            else:
                positions.append(position)
        return rows, positions, bad

    def _read_row(self, value: object) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        if self._inputs.columns is not None:
            raise BadCellError("not an object of the model's columns")
        if len(self._inputs.specs) > 1:
            raise BadCellError("not an object of the model's inputs")
        return {self._inputs.specs[0].name: value}


class JsonRange:
    """The lines from a place to the end of its range."""

    heading = b""

    def __init__(self, lines: LineBlocks, start: Place, reader: JsonReader, output: JsonOutput, most: float) -> None:
        self.end = start
        self._left = most
        """Lines that it still takes."""
        self._lines = lines
        self._reader = reader
        self._output = output

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All lines, at most `rows` at a time."""
        first = self.end.row
        while self._left > 0 and (block := self._lines.look()):
            starts = RowStarts(block, self._lines.position, _cut_lines(block), _BLANKS)
            lines, size = starts.limit(self._left, len(block))
            self._left -= len(lines)
            self._lines.take(size)
            # in equal parts: a few lines cost as much as many
            parts = -(-len(lines) // rows)
            for part in range(parts):
                offset = part * len(lines) // parts
                cut = lines[offset : (part + 1) * len(lines) // parts]
                yield JsonChunk(range(first, first + len(cut)), cut, [], starts, offset)
                first += len(cut)
        self.end = Place(self._lines.position, first)

    def parse(self, chunk: Chunk) -> ParsedRows:
        """The tensors of a chunk's rows: columns if the model has them, instances otherwise."""
        return self._reader.read(chunk)

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Append the rows at `positions`."""
        lines, numbers = chunk.rows, chunk.numbers
        if len(positions) < len(lines):
            lines = [lines[position] for position in positions]
            numbers = [numbers[position] for position in positions]
        self._output.write(lines, numbers, outputs, self._reader.members)

    def finish(self) -> bytes:
        """All is written, and nothing must be known of it."""
        return b""


def _cut_lines(block: bytes) -> list[bytes]:
    """The lines of a block that are not blank, without the spaces around them."""
    lines = block.removesuffix(b"\n").split(b"\n")
    if {line[:1] for line in lines} <= _BRACKETS and {line[-1:] for line in lines} <= _BRACKETS:
        return lines
    stripped = (line.strip(b" \t\r") for line in lines)
    return [line for line in stripped if line and not line.isspace()]
