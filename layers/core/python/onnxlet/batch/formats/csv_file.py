"""CSV (RFC 4180, UTF-8 with or without a byte order mark, commas, a header line): rows in, rows and predictions out.

The output has the columns `row`, then every input column that the model does not use, in their order, then the model's
outputs; an output of several numbers becomes several columns (`probabilities.malignant`, `embedding.0`). An input
column that is called like an output or `row` is carried over as `input_<name>`. Blank lines are no rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from onnxlet.batch.formats.cells import Empty, parse_text
from onnxlet.batch.formats.chunks import BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.columns import parse_columns
from onnxlet.batch.formats.ports import Sink, Source
from onnxlet.batch.formats.sniffing import sniff_encoding, sniff_separator
from onnxlet.batch.formats.streams import read_lines
from onnxlet.batch.inputs import ROW, Inputs, free_name
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.spelling import did_you_mean_each
from onnxlet.values.tensors import Tensor, Tensors

MOST_NAMES = 100
"""At most so many missing columns are named."""


def open_file(source: Source, sink: Sink, inputs: Inputs) -> CsvFile:
    """Open a CSV file for a model. Raises InvalidInputError if its header lacks what the model needs."""
    return CsvFile(source, sink, inputs)


class CsvFile:
    """A CSV file opened for a model. Raises InvalidInputError if its header lacks what the model needs."""

    def __init__(self, source: Source, sink: Sink, inputs: Inputs) -> None:
        self._sink = sink
        self._inputs = inputs
        self._opening = b""
        self._reader = csv.reader(self._decode_lines(source), strict=True)
        self._header = self._read_header()
        self._columns = _choose_columns(self._header, inputs)
        used = {column.name for column in self._columns}
        self._places = {name: place for place, name in enumerate(self._header)}
        self._carried = [place for place, name in enumerate(self._header) if name not in used]
        self._titles: list[str] | None = None

    def _decode_lines(self, source: Source) -> Iterator[str]:
        for line in read_lines(source):
            self._opening = self._opening or line
            yield line.decode("utf-8", "surrogateescape")

    def _read_header(self) -> list[str]:
        try:
            header = [name.strip() for name in next(self._reader, [])]
        except csv.Error as error:
            raise InvalidInputError("the file's first line is no CSV header in UTF-8") from error
        if other := sniff_encoding(self._opening):
            raise InvalidInputError(f"the file's first line is no CSV header in UTF-8: {other}")
        if not header:
            raise InvalidInputError("the file is empty: its first line must name the columns")
        for place, name in enumerate(header):
            if name in header[:place]:
                # by their places: where the header is missing, names are somebody's values
                raise InvalidInputError(f"columns {header.index(name) + 1} and {place + 1} have the same name")
        return header

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at a time; those that are no CSV, no UTF-8 or of another width are bad."""
        chunk = Chunk()
        for number, cells in self._read_rows():
            reason = cells if isinstance(cells, str) else self._find_fault(cells)
            if reason is None:
                chunk.numbers.append(number)
                chunk.rows.append(cells)
            else:
                chunk.bad.append(BadRow(number, reason))
            if len(chunk.rows) + len(chunk.bad) >= rows:
                yield chunk
                chunk = Chunk()
        if chunk.rows or chunk.bad:
            yield chunk

    def _read_rows(self) -> Iterator[tuple[int, list[str] | str]]:
        """Numbers and cells, or why the cells could not be read."""
        number = 0
        while True:
            try:
                cells: list[str] | str | None = next(self._reader, None)
            except csv.Error as error:
                cells = f"not CSV: {error}"
            if cells is None:
                return
            if cells:
                number += 1
                yield number, cells

    def _find_fault(self, cells: list[str]) -> str | None:
        if len(cells) != len(self._header):
            return f"has {len(cells)} cells where the header has {len(self._header)}"
        text = "".join(cells)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return "not UTF-8"
        return None

    def parse(self, chunk: Chunk) -> ParsedRows:
        """One tensor per column, without the rows in which a cell is bad."""
        cells = list(zip(*chunk.rows, strict=True)) or [()] * len(self._header)
        absent = [Empty.ABSENT] * len(chunk.rows)

        def cells_of(name: str) -> Sequence[str | Empty]:
            return cells[self._places[name]] if name in self._places else absent

        tensors, positions, bad = parse_columns(chunk, self._columns, cells_of, parse_text)
        return ParsedRows([Batch(positions, _assemble(tensors, self._inputs))] if positions else [], bad)

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Append the rows at `positions`. Raises InvalidInputError if outputs vary in width."""
        titles = [title for name, tensor in outputs.items() for title in self._name_columns(name, tensor.shape)]
        if self._titles is None:
            self._write_header(titles)
        elif titles != self._titles:
            raise InvalidInputError("the model's outputs vary in size from row to row: score JSON Lines instead of CSV")
        columns = [column for tensor in outputs.values() for column in _format_cells(tensor)]
        answers = zip(*columns, strict=True)
        self._append(
            [chunk.numbers[position], *(chunk.rows[position][place] for place in self._carried), *answer]
            for position, answer in zip(positions, answers, strict=True)
        )

    def close(self) -> None:
        """A file without a scored row still gets its header."""
        if self._titles is None:
            self._write_header([t for spec in self._inputs.outputs for t in self._name_columns(spec.name, spec.shape)])

    def _write_header(self, titles: list[str]) -> None:
        self._titles = titles
        taken = {ROW, *titles}
        self._append([[ROW, *(free_name(self._header[place], taken) for place in self._carried), *titles]])

    def _append(self, rows: Any) -> None:  # noqa: ANN401 - what csv takes
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._sink.write(text.getvalue().encode())

    def _name_columns(self, name: str, shape: tuple[int, ...]) -> list[str]:
        width = int(np.prod(shape[1:], dtype=int))
        if width == 1 or VARIABLE in shape[1:]:
            return [name]
        labels = self._inputs.labels.get(name, ())
        suffixes = labels if len(labels) == width else map(str, range(width))
        return [f"{name}.{suffix}" for suffix in suffixes]


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


def _format_cells(tensor: Tensor) -> list[list[str]]:
    """The cells of an output, column by column; floats as short as they can be read back."""
    flat = tensor.reshape(len(tensor), -1)
    if flat.dtype.kind == "b":
        flat = np.where(flat, "true", "false")
    elif flat.dtype.kind == "O":
        return [[str(cell) for cell in column] for column in flat.T.tolist()]
    texts: list[list[str]] = flat.T.astype(str).tolist()
    return texts
