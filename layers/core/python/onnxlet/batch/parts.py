"""A range of a file scored: in two steps, so that the next range can begin in between."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from onnxlet.batch.book import RowCounts
from onnxlet.batch.counting import CountingModel
from onnxlet.batch.formats.chunks import CHUNK_ROWS, Chunk
from onnxlet.batch.formats.ports import Place
from onnxlet.batch.rows import RowModel, score_chunks
from onnxlet.monitor.sketch import SketchDocument

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import RowRange, Table
    from onnxlet.batch.inputs import Inputs
    from onnxlet.monitor.counter import RowCounter

Compress = Callable[[bytes], bytes]
"""Makes bytes of bytes that may stand one behind the other."""


class Part(msgspec.Struct, frozen=True):
    """What came of a range: where it began and the next one does, its rows, how many bytes of output and of errors.

    `counted` are its rows in the bins of a baseline, where they are counted.
    `heading` stands at the beginning of the whole output; None if no row of this range was written. `told` is for its
    end.
    """

    start: Place
    end: Place
    rows: RowCounts
    output: int
    errors: int
    heading: bytes | None
    told: bytes = b""
    counted: SketchDocument | None = None


class PartBytes(NamedTuple):
    """What is to be written of a part."""

    output: bytes
    errors: bytes


class RangeScorer(NamedTuple):
    """Scores ranges of one table by one model; output is compressed where `compress` is given."""

    table: Table
    model: RowModel
    inputs: Inputs
    compress: Compress | None = None
    counter: RowCounter | None = None

    def cut(self, start: Place) -> CutRange:
        """Read the rows of the range that begins at a place. Raises InvalidInputError if the file cannot be scored."""
        sink = io.BytesIO()
        rows = self.table.open_range(start, sink)
        chunks: Iterable[Chunk] = rows.chunks(CHUNK_ROWS)
        if rows.end == start:
            chunks = list(chunks)  # only then it is known where they end
        return CutRange(self, start, rows, chunks, sink)


class CutRange(NamedTuple):
    """A range whose end is known."""

    scorer: RangeScorer
    start: Place
    rows: RowRange
    chunks: Iterable[Chunk]
    sink: io.BytesIO

    @property
    def end(self) -> Place:
        """Where the next range begins; where this one begins if the file ends here."""
        return self.rows.end

    def score(self) -> tuple[Part, PartBytes]:
        """Score the rows. Raises as `score_chunks` does."""
        errors = io.BytesIO()
        counting = None if self.scorer.counter is None else CountingModel(self.scorer.model, self.scorer.counter)
        model: RowModel = self.scorer.model if counting is None else counting
        if self.scorer.inputs.explaining is not None:
            model = self.scorer.inputs.explaining.wrap(model)  # what is counted is what the model gives
        counts = score_chunks(model, self.scorer.inputs, self.rows, self.chunks, errors)
        told = self.rows.finish()
        output = self.sink.getvalue()
        if self.scorer.compress is not None and output:
            output = self.scorer.compress(output)
        counted = None if counting is None else counting.document()
        part = Part(self.start, self.end, counts, len(output), errors.tell(), self.rows.heading, told, counted)
        return part, PartBytes(output, errors.getvalue())
