"""CSV (RFC 4180, UTF-8 with or without a byte order mark, a header line): rows in, rows and predictions out.

Cells are separated by commas, or by semicolons, tabs or vertical bars where only these make the columns that the model
needs; numbers have decimal points in all of them.

The output has the input's columns, all or those to keep, as their bytes were; then `row`, the model's outputs and
`model_version`. An output of several numbers becomes several columns (`probability_malignant`, `embedding.0`). An input
column that is called like one of these is kept as `input_<name>`. Blank lines are no rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import BytesIO
from math import inf
from typing import NamedTuple

from onnxlet.batch.formats.blocks import LineBlocks
from onnxlet.batch.formats.columns import lacking_error
from onnxlet.batch.formats.csv_dialect import COMMA, CommaSource, Dialect
from onnxlet.batch.formats.csv_output import CsvLayout, CsvOutput
from onnxlet.batch.formats.csv_range import CsvRange, CsvReader
from onnxlet.batch.formats.csv_rows import read_rows
from onnxlet.batch.formats.ports import Note, Place, Sink, Source
from onnxlet.batch.formats.sniffing import SEPARATORS, find_separator, sniff_encoding
from onnxlet.batch.inputs import Inputs
from onnxlet.batch.planning import Lines, scan_csv
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.datatypes import VARIABLE


def open_table(source: Source, inputs: Inputs) -> CsvTable:
    """Open a CSV file for a model. Raises InvalidInputError if its header lacks what the model needs."""
    return CsvTable(source, inputs)


def open_lines(source: Source, separator: str) -> Lines:
    """A CSV file whose cells are separated so, to be scanned."""
    return Lines(CommaSource(source, Dialect(separator)), scan_csv)


class CsvTable:
    """A CSV file opened for a model. Raises InvalidInputError if its header lacks what the model needs."""

    divisible = True

    def __init__(self, source: Source, inputs: Inputs) -> None:
        opened = _open(source, inputs)
        self._source = CommaSource(source, opened.dialect)
        self.first = Place(opened.lines.position, 1)
        self.separator = opened.dialect.separator
        self._reader = CsvReader(opened.header, opened.columns, inputs, opened.dialect)
        self._most = inputs.range_rows or inf
        self._layout = CsvLayout(opened.header, inputs, opened.dialect)
        self._reader.check_decimals(opened.lines.look())

    def open_range(self, start: Place, sink: Sink) -> CsvRange:
        """The rows from a place to the end of its range."""
        lines, output = LineBlocks(self._source, start.position), CsvOutput(sink, self._layout)
        return CsvRange(lines, start, self._reader, output, self._most)

    def heading(self) -> bytes:
        """The header, by the shapes that the outputs are declared with."""
        return self._layout.declared()

    def seal(self, heading: bytes, rows: int) -> bytes:  # noqa: ARG002 - it does not say
        """The same."""
        return heading

    def ending(self, _rows: int, _notes: Sequence[Note], /) -> bytes:
        """Nothing stands at the end of CSV."""
        return b""


class _Opened(NamedTuple):
    """A file whose header was read: what separates its cells, its columns, those that the model reads, and its rows."""

    dialect: Dialect
    header: list[str]
    columns: tuple[Column, ...]
    lines: LineBlocks


def _open(source: Source, inputs: Inputs) -> _Opened:
    """Open a file with the first separator by which it has what the model needs. Raises InvalidInputError.

    If it has that by none, the error is that of commas, or of what its first line seems to be separated by.
    """
    if inputs.header is not None:
        return _open_declared(source, list(inputs.header), inputs)
    errors: dict[str, InvalidInputError] = {}
    seemingly = COMMA
    for dialect in map(Dialect, (COMMA, *SEPARATORS)):
        lines = LineBlocks(CommaSource(source, dialect))
        header = _read_header(lines, dialect)
        if dialect.plain:
            seemingly = find_separator(header) or COMMA
        try:
            doubtful = seemingly != dialect.separator
            return _Opened(dialect, header, _choose_columns(header, inputs, doubtful=doubtful), lines)
        except InvalidInputError as error:
            errors[dialect.separator] = error
    raise errors[seemingly]


def _open_declared(source: Source, header: list[str], inputs: Inputs) -> _Opened:
    """Open a file with the first separator by which its first row has as many cells as it is said to have columns.

    By none of them it is that of commas.
    """
    opened = [(dialect, LineBlocks(CommaSource(source, dialect))) for dialect in map(Dialect, (COMMA, *SEPARATORS))]
    rows = [next(read_rows(BytesIO(lines.look()).readline), None) for _, lines in opened]
    fits = [row is not None and not isinstance(row.cells, str) and len(row.cells) == len(header) for row in rows]
    dialect, lines = opened[fits.index(True) if any(fits) else 0]
    return _Opened(dialect, header, _choose_columns(header, inputs, doubtful=False), lines)


def _read_header(lines: LineBlocks, dialect: Dialect) -> list[str]:
    opening = lines.look()
    try:
        row = next(csv.reader(_decode_lines(lines), strict=True), [])
    except csv.Error as error:
        raise InvalidInputError("the file's first line is no CSV header in UTF-8") from error
    if other := sniff_encoding(opening[: opening.find(b"\n") + 1] or opening):
        raise InvalidInputError(f"the file's first line is no CSV header in UTF-8: {other}")
    if not row:
        raise InvalidInputError("the file is empty: its first line must name the columns")
    header = [name.strip() for name in dialect.restore(row)]
    for place, name in enumerate(header):
        if name in header[:place]:
            # by their places: where the header is missing, names are somebody's values
            raise InvalidInputError(f"columns {header.index(name) + 1} and {place + 1} have the same name")
    return header


def _decode_lines(lines: LineBlocks) -> Iterator[str]:
    while line := lines.take_line():
        yield line.decode("utf-8", "surrogateescape")


def _choose_columns(header: list[str], inputs: Inputs, doubtful: bool) -> tuple[Column, ...]:
    """The columns to read, with their datatypes. Raises InvalidInputError if the header does not fit the model.

    `doubtful`: it seems to be separated by something else.
    """
    if inputs.columns is None and len(inputs.specs) == 1 and len(inputs.specs[0].shape) == 2:  # noqa: PLR2004 - a matrix
        (spec,) = inputs.specs
        if spec.shape[1] not in {VARIABLE, len(header)} or (spec.shape[1] == VARIABLE and doubtful):
            raise InvalidInputError(
                f"the model's input {spec.name!r} takes {spec.shape[1]} columns, the file has {len(header)}"
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
        raise lacking_error(missing, header)
    return columns
