"""A range of CSV: lines → rows as bytes → tensors, and rows that are no such."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from onnxlet.batch.formats.blocks import LineBlocks, RowStarts
from onnxlet.batch.formats.cells import Empty, parse_text
from onnxlet.batch.formats.chunks import BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.columns import ParsedColumns, assemble, merge_columns, parse_columns
from onnxlet.batch.formats.csv_blocks import cut_rows
from onnxlet.batch.formats.csv_dialect import Dialect
from onnxlet.batch.formats.csv_numbers import FEW_ROWS, CsvNumbers, Places
from onnxlet.batch.formats.csv_output import CsvOutput
from onnxlet.batch.formats.csv_rows import find_fault, read_row, read_rows
from onnxlet.batch.formats.ports import Place
from onnxlet.batch.inputs import Inputs
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.tensors import Tensors

DECIMAL_ROWS = 20
"""So many rows are looked at for decimal commas."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_LINE_ENDS = re.compile(rb"(?:\r*\n)*")
"""What can stand between two rows."""


@dataclass(slots=True)
class CsvChunk(Chunk):
    """Rows as their bytes; `regular` if quotes are where they belong.

    Rows begin at the `starts` from the place `offset` on.
    """

    starts: RowStarts | list[int] = field(default_factory=list)
    offset: int = 0
    first: int = 1
    regular: bool = True

    def locate(self, number: int) -> int:
        """Where the row of this number begins in the file, in bytes."""
        starts = self.starts.all if isinstance(self.starts, RowStarts) else self.starts
        return starts[self.offset + number - self.first]


class CsvReader:
    """Reads rows under a header as a model's columns."""

    def __init__(self, header: list[str], columns: tuple[Column, ...], inputs: Inputs, dialect: Dialect) -> None:
        self._width = len(header)
        self._columns = columns
        self._inputs = inputs
        self._places = {name: place for place, name in enumerate(header)}
        self._dialect = dialect
        self._numbers = CsvNumbers(columns, self._places, len(header), dialect)

    def describe(self, fault: str) -> str:
        """What is wrong with a row, in words that name the file's own separator."""
        return self._dialect.restore([fault])[0]

    def check_decimals(self, lines: bytes) -> None:
        """Raises InvalidInputError if a column of numbers has decimal commas, as far as the first rows tell."""
        rows = [read_row(row) for row in cut_rows(lines)[0][:DECIMAL_ROWS]] if not self._dialect.plain else []
        table = [self._dialect.restore(row) for row in rows if not isinstance(row, str) and len(row) == self._width]
        for column in self._columns:
            if column.name in self._places and DATATYPES[column.datatype].kind == "f":
                cells = [row[self._places[column.name]].strip() for row in table]
                if any(map(_DECIMAL_COMMA.fullmatch, cells)):
                    raise InvalidInputError(
                        f"numbers have decimal commas, in column {column.name!r}: write them with decimal points"
                    )

    def read(self, chunk: CsvChunk) -> ParsedRows:
        """One tensor per column, without the rows in which a cell is bad."""
        everything = np.arange(len(chunk.rows))
        readings = self._numbers.read(chunk.rows) if chunk.regular else []
        doubtful = np.sort(np.concatenate([each.doubtful for each in readings])) if chunk.regular else everything
        pieces = [(reading.positions.tolist(), reading.tensors) for reading in readings if len(reading.positions)]
        bad: list[BadRow] = []
        if len(doubtful):
            judged = self._judge(chunk, doubtful)
            bad = judged.bad
            if judged.positions:
                pieces.append((doubtful[judged.positions].tolist(), judged.tensors))
        positions, tensors = merge_columns(pieces)
        return ParsedRows([Batch(positions, assemble(tensors, self._inputs))] if positions else [], bad)

    def _judge(self, chunk: Chunk, doubtful: Places) -> ParsedColumns:
        """Rows one by one; the positions are those among the doubtful ones."""
        bad: list[BadRow] = []
        rows: list[list[str]] = []
        places: list[int] = []
        for place, position in enumerate(doubtful.tolist()):
            cells = read_row(chunk.rows[position])
            fault = find_fault(cells, self._width)
            if fault is None and not isinstance(cells, str):
                places.append(place)
                rows.append(cells)
            else:
                bad.append(BadRow(chunk.numbers[position], self.describe(str(fault))))
        columns = list(zip(*rows, strict=True)) or [()] * self._width
        absent = [Empty.ABSENT] * len(rows)

        def cells_of(name: str) -> Sequence[str | Empty]:
            return self._dialect.restore(columns[self._places[name]]) if name in self._places else absent

        numbers = [chunk.numbers[position] for position in doubtful[places].tolist()]
        parsed = parse_columns(Chunk(numbers, rows), self._columns, cells_of, parse_text)
        return ParsedColumns(parsed.tensors, [places[position] for position in parsed.positions], [*bad, *parsed.bad])


class CsvRange:
    """The rows from a place to the end of its range."""

    def __init__(self, lines: LineBlocks, start: Place, reader: CsvReader, output: CsvOutput, most: float) -> None:
        self.end = start
        self._left = most
        """Rows that it still takes."""
        self._lines = lines
        self._reader = reader
        self._output = output

    @property
    def heading(self) -> bytes | None:
        """The header that is written, once a row is."""
        return self._output.heading

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at a time; those that are no CSV are bad."""
        first = self.end.row
        while self._left > 0 and (block := self._lines.look()):
            rows_found, size = cut_rows(block)
            starts = RowStarts(block, self._lines.position, rows_found, _LINE_ENDS)
            found, size = starts.limit(self._left, size)
            self._left -= len(found)
            self._lines.take(size)
            # in equal parts: a few rows cost as much as many
            parts = -(-len(found) // rows)
            for part in range(parts):
                offset = part * len(found) // parts
                cut = found[offset : (part + 1) * len(found) // parts]
                yield CsvChunk(range(first, first + len(cut)), cut, [], starts, offset, first)
                first += len(cut)
            if not size:
                chunk = self._judge_lines(first, rows)
                judged = len(chunk.rows) + len(chunk.bad)
                first, self._left = first + judged, self._left - judged
                yield chunk
        self.end = Place(self._lines.position, first)

    def _judge_lines(self, first: int, rows: int) -> CsvChunk:
        """The next few rows, wherever quotes are in them."""
        starts: list[int] = []
        numbers: list[int] = []
        chunk = CsvChunk(numbers, starts=starts, first=first, regular=False)
        taken = read_rows(self._lines.take_line)
        for number in range(first, first + min(rows, FEW_ROWS)):
            row = next(taken, None) if self._lines.within else None
            if row is None:
                break
            starts.append(self._lines.position - row.size)
            if isinstance(row.cells, str):
                chunk.bad.append(BadRow(number, self._reader.describe(row.cells)))
            else:
                numbers.append(number)
                chunk.rows.append(row.raw)
        return chunk

    def parse(self, chunk: Chunk) -> ParsedRows:
        """One tensor per column, without the rows in which a cell is bad."""
        assert isinstance(chunk, CsvChunk)  # noqa: S101 - it is one of ours
        return self._reader.read(chunk)

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Append the rows at `positions`. Raises InvalidInputError if outputs vary in width."""
        if len(positions) == len(chunk.rows):
            self._output.write(chunk.rows, chunk.numbers, outputs)
        else:
            rows = [chunk.rows[position] for position in positions]
            self._output.write(rows, [chunk.numbers[position] for position in positions], outputs)

    def finish(self) -> bytes:
        """All is written, and nothing must be known of it."""
        return b""
