"""NumPy's `.npy`: an array of a model's rows in, an array of records out.

A row is the value of the model's only input, or the numbers of its columns in their order. A record has the row as
`input` (unless `--keep -`), its number, the outputs and the model's version. Texts are labels: they have a fixed width.
Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from onnxlet.batch.formats import blocks
from onnxlet.batch.formats.arrays import read_numbers
from onnxlet.batch.formats.chunks import BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.ports import Note, Place, Sink, Source
from onnxlet.batch.formats.texts import to_integers
from onnxlet.batch.inputs import MODEL_VERSION, ROW, Inputs
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES, VARIABLE
from onnxlet.values.tensors import Tensor, Tensors

INPUT = "input"
"""The field that holds a row as it was."""
HEADER_BYTES = 64 * 1024
"""A header is looked for in so many bytes; those of NumPy are no longer."""
MOST_ROWS = 10**18
"""A heading has room for such a number of rows."""


def open_table(source: Source, inputs: Inputs) -> NpyTable:
    """Open an array for a model. Raises InvalidInputError if it is none of the model's rows."""
    return NpyTable(source, inputs)


def find_places(table: NpyTable, least: int) -> list[Place]:
    """Where stretches of at least so many bytes begin, and where the last one ends."""
    ranges = max(1, least // max(1, table.range_rows * table.row_bytes))
    begins = range(0, table.shape[0], ranges * table.range_rows)
    return [Place(row, row + 1) for row in (*begins, table.shape[0])]


class NpyTable:
    """An array opened for a model; places are counted in rows."""

    first = Place(0, 1)
    divisible = True

    def __init__(self, source: Source, inputs: Inputs) -> None:
        if inputs.header is not None:
            raise InvalidInputError("an array has no columns to declare: they are the model's, in their order")
        if inputs.keep:
            raise InvalidInputError("an array has no columns to keep: keep all, or none by -")
        self.source = source
        self.inputs = inputs
        self.shape, self.dtype, self.offset = _read_header(source)
        self.columns = _choose_columns(self.shape[1:], inputs)
        if self.dtype.kind not in "fiub":
            raise InvalidInputError(f"the array's elements are no numbers but {self.dtype.name!r}")
        self.row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        self.range_rows = max(1, blocks.RANGE_BYTES // max(1, self.row_bytes))
        if source.size < self.offset + self.row_bytes * self.shape[0]:
            raise InvalidInputError("the array breaks off: the file is shorter than its header says")
        self.record = self._make_record()

    def open_range(self, start: Place, sink: Sink) -> NpyRange:
        """The rows from a place to the end of its range."""
        return NpyRange(self, start, sink)

    def heading(self) -> bytes:
        """The header of an array of so many records as there is room for."""
        return _write_header(self.record, MOST_ROWS)

    def seal(self, _heading: bytes, rows: int) -> bytes:
        """The header of an array of so many records."""
        return _write_header(self.record, rows)

    def ending(self, _rows: int, _notes: Sequence[Note], /) -> bytes:
        """Nothing stands at the end of an array."""
        return b""

    def _make_record(self) -> np.dtype[Any]:
        """The type of what is written for a row. Raises InvalidInputError for outputs without a fixed size."""
        fields: list[tuple[Any, ...]] = [] if self.inputs.keep is not None else [(INPUT, self.dtype, self.shape[1:])]
        fields.append((ROW, "<i8"))
        for spec in self.inputs.outputs:
            labels = self.inputs.labels.get(spec.name)
            if VARIABLE in spec.shape[1:] or (spec.type.kind == "s" and labels is None):
                raise InvalidInputError(f"the model's output {spec.name!r} has no fixed size: score JSON Lines")
            width = max(map(len, labels), default=1) if labels is not None else 0
            fields.append((spec.name, f"<U{width}" if spec.type.kind == "s" else spec.type.numpy, spec.shape[1:]))
        if self.inputs.version is not None:
            fields.append((MODEL_VERSION, "<i4"))
        try:
            return np.dtype(fields)
        except ValueError as error:
            raise InvalidInputError(f"the model has an output called {INPUT!r}: score with --keep -") from error


class NpyRange:
    """The rows from a place to the end of its range."""

    def __init__(self, table: NpyTable, start: Place, sink: Sink) -> None:
        self.end = start
        self._table = table
        self._sink = sink
        self._written = False

    @property
    def heading(self) -> bytes | None:
        """The header, once a row is written."""
        return self._table.heading() if self._written else None

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at a time."""
        table, first = self._table, self.end.position
        last = min(table.shape[0], first + table.range_rows)
        for begin in range(first, last, rows):
            count = min(rows, last - begin)
            data = table.source.read(table.offset + begin * table.row_bytes, count * table.row_bytes)
            array = np.frombuffer(data, table.dtype).reshape(count, *table.shape[1:])
            yield Chunk(range(begin + 1, begin + count + 1), array)  # type: ignore[arg-type] # rows as well
        self.end = Place(last, last + 1)

    def parse(self, chunk: Chunk) -> ParsedRows:
        """Tensors of the rows whose numbers the model's datatypes hold."""
        table, count = self._table, len(chunk.numbers)
        matrix = np.asarray(chunk.rows).reshape(count, -1)
        wide = matrix.shape[1] // max(1, len(table.columns))
        bad: dict[int, BadRow] = {}
        parts: list[Tensor] = []
        for place, column in enumerate(table.columns):
            cells = matrix[:, place * wide : (place + 1) * wide]
            values, faults = _read_cells(cells, column)
            parts.append(values)
            for position, reason in faults.items():
                name = column.name if table.inputs.columns is not None else None
                bad.setdefault(position, BadRow(chunk.numbers[position], reason, name))
        positions = [position for position in range(count) if position not in bad]
        if not positions:
            return ParsedRows([], list(bad.values()))
        inputs: Tensors = {}
        for spec, values in zip(table.inputs.specs, parts, strict=True):
            shape = (len(positions), *(table.shape[1:] if table.inputs.columns is None else spec.shape[1:]))
            inputs[spec.name] = np.ascontiguousarray(values[positions] if bad else values).reshape(shape)
        return ParsedRows([Batch(positions, inputs)], list(bad.values()))

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Append records of the rows at `positions`."""
        records = np.zeros(len(positions), self._table.record)
        if INPUT in (records.dtype.names or ()) and self._table.inputs.keep is None:
            records[INPUT] = np.asarray(chunk.rows)[positions]
        records[ROW] = to_integers(chunk.numbers)[positions]
        for name, tensor in outputs.items():
            records[name] = tensor.reshape(records[name].shape)
        if self._table.inputs.version is not None:
            records[MODEL_VERSION] = self._table.inputs.version
        self._sink.write(records.tobytes())
        self._written = True

    def finish(self) -> bytes:
        """All is written, and nothing must be known of it."""
        return b""


def _read_header(source: Source) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, datatype and where the elements begin. Raises InvalidInputError."""
    stream = BytesIO(bytes(source.read(0, HEADER_BYTES)))
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, in_columns, dtype = read(stream)
    except (ValueError, EOFError) as error:
        raise InvalidInputError("the file is no array in NumPy's format: it begins otherwise") from error
    if not shape:
        raise InvalidInputError("the array is a single number: the first dimension counts rows")
    if in_columns and len(shape) > 1:
        raise InvalidInputError("the array lies column by column: save np.ascontiguousarray of it")
    return shape, dtype, stream.tell()


def _choose_columns(shape: tuple[int, ...], inputs: Inputs) -> tuple[Column, ...]:
    """What the elements of a row are. Raises InvalidInputError if the model takes other rows."""
    if inputs.columns is not None:
        if shape != (len(inputs.columns),):
            raise InvalidInputError(
                f"a row has shape {list(shape)} where the model has {len(inputs.columns)} columns: "
                + ", ".join(repr(column.name) for column in inputs.columns[:100])
            )
        if any(DATATYPES[column.datatype].kind == "s" for column in inputs.columns):
            raise InvalidInputError("the model has columns of texts: score CSV or JSON Lines")
        return inputs.columns
    if len(inputs.specs) != 1:
        raise InvalidInputError("the model has several inputs: score JSON Lines")
    (spec,) = inputs.specs
    if len(shape) != len(spec.shape) - 1 or any(
        size not in {VARIABLE, got} for size, got in zip(spec.shape[1:], shape, strict=True)
    ):
        raise InvalidInputError(f"a row has shape {list(shape)} where the model takes {list(spec.shape[1:])}")
    if spec.type.kind == "s":
        raise InvalidInputError("the model reads texts: score CSV or JSON Lines")
    return (Column(spec.name, spec.datatype),)


def _read_cells(cells: Tensor, column: Column) -> tuple[Tensor, dict[int, str]]:
    """Cells [N, width] as the column's datatype, and why each bad row is."""
    values, faults = read_numbers(cells.reshape(-1), column)
    width = max(1, cells.shape[1])
    return values.reshape(cells.shape), {place // width: reason for place, reason in reversed(list(faults.items()))}


def _write_header(record: np.dtype[Any], rows: int) -> bytes:
    """NumPy's header, as long for any number of rows."""
    words = {"descr": np.lib.format.dtype_to_descr(record), "fortran_order": False, "shape": (rows,)}
    text = repr(words).ljust(len(repr(words | {"shape": (MOST_ROWS,)})))
    text = text.ljust(-(-(len(text) + 13) // 64) * 64 - 13) + "\n"
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text.encode("latin1")
