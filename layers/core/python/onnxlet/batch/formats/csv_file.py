"""CSV (RFC 4180, UTF-8 with or without a byte order mark, commas, a header line): rows in, rows and predictions out.

The output has the input's columns, all or those to keep, as their bytes were; then `row`, the model's outputs and
`model_version`. An output of several numbers becomes several columns (`probability_malignant`, `embedding.0`). An input
column that is called like one of these is kept as `input_<name>`. Blank lines are no rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from onnxlet.batch.formats.blocks import LineBlocks
from onnxlet.batch.formats.cells import Empty, parse_text
from onnxlet.batch.formats.chunks import BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.columns import ParsedColumns, merge_columns, parse_columns
from onnxlet.batch.formats.csv_blocks import cut_rows
from onnxlet.batch.formats.csv_numbers import FEW_ROWS, CsvNumbers, Places
from onnxlet.batch.formats.csv_output import CsvOutput
from onnxlet.batch.formats.csv_rows import find_fault, read_row, read_rows
from onnxlet.batch.formats.ports import Sink, Source
from onnxlet.batch.formats.sniffing import sniff_encoding, sniff_separator
from onnxlet.batch.inputs import Inputs
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.spelling import did_you_mean_each
from onnxlet.values.tensors import Tensors

MOST_NAMES = 100
"""At most so many missing columns are named."""


def open_file(source: Source, sink: Sink, inputs: Inputs) -> CsvFile:
    """Open a CSV file for a model. Raises InvalidInputError if its header lacks what the model needs."""
    return CsvFile(source, sink, inputs)


@dataclass(slots=True)
class CsvChunk(Chunk):
    """Rows as their bytes; `regular` if quotes are where they belong."""

    regular: bool = True


class CsvFile:
    """A CSV file opened for a model. Raises InvalidInputError if its header lacks what the model needs."""

    def __init__(self, source: Source, sink: Sink, inputs: Inputs) -> None:
        self._inputs = inputs
        self._lines = LineBlocks(source)
        self._header = _read_header(self._lines)
        self._columns = _choose_columns(self._header, inputs)
        self._places = {name: place for place, name in enumerate(self._header)}
        self._numbers = CsvNumbers(self._columns, self._places, len(self._header))
        self._output = CsvOutput(sink, self._header, inputs)

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at a time; those that are no CSV are bad."""
        first = 1
        while block := self._lines.look():
            found, size = cut_rows(block)
            self._lines.take(size)
            # in equal parts: a few rows cost as much as many
            parts = -(-len(found) // rows)
            for part in range(parts):
                cut = found[part * len(found) // parts : (part + 1) * len(found) // parts]
                yield CsvChunk(list(range(first, first + len(cut))), cut)
                first += len(cut)
            if not size:
                chunk = self._judge_lines(first, rows)
                first += len(chunk.rows) + len(chunk.bad)
                yield chunk

    def _judge_lines(self, first: int, rows: int) -> CsvChunk:
        """The next few rows, wherever quotes are in them."""
        chunk = CsvChunk(regular=False)
        few = zip(range(min(rows, FEW_ROWS)), read_rows(self._lines.take_line), strict=False)
        for place, row in few:
            if isinstance(row.cells, str):
                chunk.bad.append(BadRow(first + place, row.cells))
            else:
                chunk.numbers.append(first + place)
                chunk.rows.append(row.raw)
        return chunk

    def parse(self, chunk: Chunk) -> ParsedRows:
        """One tensor per column, without the rows in which a cell is bad."""
        everything = np.arange(len(chunk.rows))
        regular = isinstance(chunk, CsvChunk) and chunk.regular
        readings = self._numbers.read(chunk.rows) if regular else []
        doubtful = np.sort(np.concatenate([each.doubtful for each in readings])) if regular else everything
        pieces = [(reading.positions.tolist(), reading.tensors) for reading in readings if len(reading.positions)]
        bad: list[BadRow] = []
        if len(doubtful):
            judged = self._judge(chunk, doubtful)
            bad = judged.bad
            if judged.positions:
                pieces.append((doubtful[judged.positions].tolist(), judged.tensors))
        positions, tensors = merge_columns(pieces)
        return ParsedRows([Batch(positions, _assemble(tensors, self._inputs))] if positions else [], bad)

    def _judge(self, chunk: Chunk, doubtful: Places) -> ParsedColumns:
        """Rows one by one; the positions are those among the doubtful ones."""
        width = len(self._header)
        bad: list[BadRow] = []
        rows: list[list[str]] = []
        places: list[int] = []
        for place, position in enumerate(doubtful.tolist()):
            cells = read_row(chunk.rows[position])
            fault = find_fault(cells, width)
            if fault is None and not isinstance(cells, str):
                places.append(place)
                rows.append(cells)
            else:
                bad.append(BadRow(chunk.numbers[position], str(fault)))
        columns = list(zip(*rows, strict=True)) or [()] * width
        absent = [Empty.ABSENT] * len(rows)

        def cells_of(name: str) -> Sequence[str | Empty]:
            return columns[self._places[name]] if name in self._places else absent

        numbers = [chunk.numbers[position] for position in doubtful[places].tolist()]
        parsed = parse_columns(Chunk(numbers, rows), self._columns, cells_of, parse_text)
        return ParsedColumns(parsed.tensors, [places[position] for position in parsed.positions], [*bad, *parsed.bad])

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Append the rows at `positions`. Raises InvalidInputError if outputs vary in width."""
        if len(positions) == len(chunk.rows):
            self._output.write(chunk.rows, chunk.numbers, outputs)
        else:
            rows = [chunk.rows[position] for position in positions]
            self._output.write(rows, [chunk.numbers[position] for position in positions], outputs)

    def close(self) -> None:
        """A file without a scored row still gets its header."""
        self._output.close()


def _read_header(lines: LineBlocks) -> list[str]:
    opening = lines.look()
    try:
        row = next(csv.reader(_decode_lines(lines), strict=True), [])
    except csv.Error as error:
        raise InvalidInputError("the file's first line is no CSV header in UTF-8") from error
    if other := sniff_encoding(opening[: opening.find(b"\n") + 1] or opening):
        raise InvalidInputError(f"the file's first line is no CSV header in UTF-8: {other}")
    if not row:
        raise InvalidInputError("the file is empty: its first line must name the columns")
    header = [name.strip() for name in row]
    for place, name in enumerate(header):
        if name in header[:place]:
            # by their places: where the header is missing, names are somebody's values
            raise InvalidInputError(f"columns {header.index(name) + 1} and {place + 1} have the same name")
    return header


def _decode_lines(lines: LineBlocks) -> Iterator[str]:
    while line := lines.take_line():
        yield line.decode("utf-8", "surrogateescape")


def _choose_columns(header: list[str], inputs: Inputs) -> tuple[Column, ...]:
    """The columns to read, with their datatypes. Raises InvalidInputError if the header does not fit the model."""
    separator = sniff_separator(header)
    hint = f": {separator}" if separator else ""
    if inputs.columns is None and len(inputs.specs) == 1 and len(inputs.specs[0].shape) == 2:  # noqa: PLR2004 - a matrix
        (spec,) = inputs.specs
        if spec.shape[1] not in {VARIABLE, len(header)}:
            raise InvalidInputError(
                f"the model's input {spec.name!r} takes {spec.shape[1]} columns, the file has {len(header)}{hint}"
            )
        return tuple(Column(name, spec.datatype) for name in header)
    for spec in inputs.specs:
        if spec.shape[1:] not in {(), (1,)}:
            raise InvalidInputError(
                f"the model's input {spec.name!r} has shape {list(spec.shape)}, no column: score JSON Lines"
            )
    columns = inputs.columns or tuple(Column(spec.name, spec.datatype) for spec in inputs.specs)
    missing = [column.name for column in columns if column.default is None and column.name not in header]
    if missing:
        raise _lacking_columns(missing, header, hint)
    return columns


def _lacking_columns(missing: Sequence[str], header: Sequence[str], hint: str) -> InvalidInputError:
    """The error for columns that are missing. Of the header it names what is like them alone: it may be a row."""
    listed = ", ".join(map(repr, missing[:MOST_NAMES]))
    more = f" and {len(missing) - MOST_NAMES} more" if len(missing) > MOST_NAMES else ""
    columns = "column" if len(missing) == 1 else "columns"
    advice = hint or did_you_mean_each(missing, header)
    return InvalidInputError(f"the file has no {columns} {listed}{more} that the model needs{advice}", missing=missing)


def _assemble(columns: Tensors, inputs: Inputs) -> Tensors:
    """Columns [N] as the called signature's inputs."""
    if inputs.columns is None and set(columns) != {spec.name for spec in inputs.specs}:
        return {inputs.specs[0].name: np.stack(list(columns.values()), axis=1)}
    return {spec.name: columns[spec.name].reshape(-1, *spec.shape[1:]) for spec in inputs.specs}
