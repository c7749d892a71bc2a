"""Parquet: rows in, rows and predictions out, in row groups.

The output has the input's columns, all or those to keep, with their types and values; then `row`, the model's outputs
and `model_version`. It is written as its input was: by the same codec, and with dictionaries for the same columns. A
NaN among a model's numbers is a missing value, as a null is.

A range is a row group, or several small ones. Row groups that are large are ranges of rows: those are decoded one after
the other, so that one process reads such a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.batch.formats.arrow_columns import plan_reading
from onnxlet.batch.formats.arrow_files import read_batches, read_schema
from onnxlet.batch.formats.chunks import Chunk, ParsedRows
from onnxlet.batch.formats.parquet_footer import MAGIC, read_columns, read_footer
from onnxlet.batch.formats.parquet_output import ParquetLayout, ParquetOutput, write_ending
from onnxlet.batch.formats.parquet_ranges import Ranges
from onnxlet.batch.formats.ports import Note, Place, Sink, Source
from onnxlet.batch.inputs import Inputs
from onnxlet.errors import InvalidInputError
from onnxlet.values.tensors import Tensors

if TYPE_CHECKING:
    from arro3.core import RecordBatch


def open_table(source: Source, inputs: Inputs) -> ParquetTable:
    """Open a Parquet file for a model. Raises InvalidInputError if it is none, or has not what the model needs."""
    return ParquetTable(source, inputs)


def find_places(table: ParquetTable, least: int) -> list[Place]:
    """Where stretches of at least so many bytes begin, and where the last one ends."""
    return table.ranges.places(least)


@dataclass(slots=True)
class ParquetChunk(Chunk):
    """Rows as Arrow's arrays."""

    batch: RecordBatch = field(kw_only=True)


class ParquetTable:
    """A Parquet file opened for a model; places are counted in rows."""

    first = Place(0, 1)

    def __init__(self, source: Source, inputs: Inputs) -> None:
        if inputs.header is not None:
            raise InvalidInputError("Parquet names its columns itself: declare none")
        self.source = source
        self.footer = read_footer(source)
        schema = read_schema(source, self.footer)
        self.read = plan_reading(schema, inputs)
        columns = read_columns(self.footer.groups[0]) if self.footer.groups else []
        self.layout = ParquetLayout(schema, columns, inputs)
        self.ranges = Ranges(self.footer, len(columns))
        self.divisible = self.ranges.divisible
        self._reading: _Reading | None = None

    def open_range(self, start: Place, sink: Sink) -> ParquetRange:
        """The rows from a place to the end of its range."""
        return ParquetRange(self, start, sink)

    def heading(self) -> bytes:
        """The format's magic."""
        return MAGIC

    def seal(self, heading: bytes, rows: int) -> bytes:  # noqa: ARG002 - it does not say
        """The same."""
        return heading

    def ending(self, _rows: int, notes: Sequence[Note], /) -> bytes:
        """The footer."""
        return write_ending(self.layout, notes)

    def batches(self, first: int, last: int) -> Iterator[RecordBatch]:
        """The rows of a range."""
        if first == last:
            return
        reading = self._find_reading(first)
        while reading.position < last:
            position, batch = reading.position, next(reading.batches, None)
            if batch is None:
                raise InvalidInputError("the file's pages hold fewer rows than its footer says")
            reading.position += batch.num_rows
            if position >= first:
                yield batch
        self._reading = reading

    def _find_reading(self, first: int) -> _Reading:
        """What is before a row and reads on to it: the last one, or one from the beginning of the row's stretch."""
        stretch, last = self.ranges.find_stretch(first), self._reading
        if last is not None and stretch.start < last.position <= first:
            return last
        return _Reading(stretch.start, read_batches(self.source, self.footer, stretch.groups, self.ranges.batch_rows))


@dataclass(slots=True)
class _Reading:
    """Rows that are being read, and how far."""

    position: int
    batches: Iterator[RecordBatch]


class ParquetRange:
    """The rows from a place to the end of its range."""

    def __init__(self, table: ParquetTable, start: Place, sink: Sink) -> None:
        end = table.ranges.end_of(start.position)
        self.end = Place(end, end + 1)
        self._table = table
        self._first = start.position
        self._output = ParquetOutput(sink, table.layout, table.ranges.bytes, table.ranges.row_bytes)

    @property
    def heading(self) -> bytes | None:
        """The format's magic, once a row is written."""
        return MAGIC if self._output.written else None

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at a time."""
        number = self._first + 1
        for batch in self._table.batches(self._first, self.end.position):
            for start in range(0, batch.num_rows, rows):
                part = batch if batch.num_rows <= rows else batch.slice(start, rows)
                yield ParquetChunk(range(number, number + part.num_rows), list(range(part.num_rows)), batch=part)
                number += part.num_rows

    def parse(self, chunk: Chunk) -> ParsedRows:
        """The tensors of rows whose values the model's datatypes hold."""
        assert isinstance(chunk, ParquetChunk)  # noqa: S101 - it is one of ours
        return self._table.read(chunk, chunk.batch)

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Append the rows at `positions`."""
        assert isinstance(chunk, ParquetChunk)  # noqa: S101 - it is one of ours
        batch, numbers = chunk.batch, chunk.numbers
        if len(positions) < len(numbers):
            batch = batch.take(np.array(positions, np.uint32))
            numbers = [numbers[position] for position in positions]
        self._output.write(batch, numbers, outputs)

    def finish(self) -> bytes:
        """Write what is pending; the row groups."""
        return self._output.finish()
