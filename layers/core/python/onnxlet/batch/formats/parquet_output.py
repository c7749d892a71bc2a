"""The Parquet that is written: the input's columns as they are, and what the model says of them behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from arro3.core import Array, DataType, Field, RecordBatch, Schema

from onnxlet.batch.formats.arrow_arrays import is_text
from onnxlet.batch.formats.arrow_files import Encoding, write_batches
from onnxlet.batch.formats.arrow_outputs import ArrowOutputs
from onnxlet.batch.formats.parquet_footer import MAGIC, Column, move_group, parse_group
from onnxlet.batch.formats.texts import to_integers
from onnxlet.batch.formats.thrift import STRUCT, Reader
from onnxlet.batch.inputs import MODEL_VERSION, ROW, Inputs, free_name
from onnxlet.values.tensors import Tensors

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Note, Sink

CODECS = {"zstd": "zstd(1)", "gzip": "gzip(6)", "brotli": "brotli(4)", "lz4": "lz4_raw", "lzo": "snappy"}
"""How what is read so is written, where that is not by the codec's own name."""
USUAL_CODEC = "snappy"
"""That of a file that says nothing."""


class ParquetLayout:
    """Which columns of a file are written, and which follow them; `columns` tell how those of the file were encoded.

    Raises InvalidInputError for columns to keep that the file has not.
    """

    def __init__(self, schema: Schema, columns: Sequence[Column], inputs: Inputs) -> None:
        self._kept = inputs.find_kept(schema.names)
        self._whole = len(self._kept) == len(schema.names)
        self._outputs = ArrowOutputs(inputs)
        added = [Field(ROW, DataType.int64(), nullable=False), *self._outputs.fields]
        taken = {field.name for field in added}
        names = {schema.names[place]: free_name(schema.names[place], taken) for place in self._kept}
        fields = [schema.field(name).with_name(new) for name, new in names.items()]
        self.schema = Schema([*fields, *added], metadata=schema.metadata)
        self.encoding = _choose_encoding(columns, names, added)

    def arrange(self, batch: RecordBatch, numbers: Sequence[int], outputs: Tensors) -> RecordBatch:
        """Rows with their numbers and outputs."""
        columns = batch.columns
        kept = columns if self._whole else [columns[place] for place in self._kept]
        added = [Array.from_numpy(to_integers(numbers)), *self._outputs.make_arrays(outputs, len(numbers))]
        return RecordBatch.from_arrays([*kept, *added], schema=self.schema)


class ParquetOutput:
    """Rows written to a sink, as a row group whenever there are `group_bytes`. A row of the input has `row_bytes`."""

    def __init__(self, sink: Sink, layout: ParquetLayout, group_bytes: int, row_bytes: int) -> None:
        self.written = False
        self._sink = sink
        self._layout = layout
        self._group_bytes = group_bytes
        self._row_bytes = row_bytes
        self._pending: list[RecordBatch] = []
        self._size = 0
        self._position = 0
        self._groups: list[bytes] = []

    def write(self, batch: RecordBatch, numbers: Sequence[int], outputs: Tensors) -> None:
        """Append rows."""
        self.written = True
        self._pending.append(self._layout.arrange(batch, numbers, outputs))
        self._size += len(numbers) * self._row_bytes + sum(tensor.nbytes for tensor in outputs.values())
        if self._size >= self._group_bytes:
            self._write_group()

    def finish(self) -> bytes:
        """Write what is pending. All row groups, as a footer has them, by their places among what was written."""
        if self._pending:
            self._write_group()
        return b"".join(self._groups)

    def _write_group(self) -> None:
        pages, footer = write_batches(self._layout.schema, self._pending, self._layout.encoding)
        self._groups += [move_group(group.data, self._position - len(MAGIC)) for group in footer.groups]
        self._sink.write(pages)
        self._position += len(pages)
        self._pending, self._size = [], 0


def write_ending(layout: ParquetLayout, notes: Sequence[Note]) -> bytes:
    """The end of a file whose ranges told of their row groups in notes."""
    groups = []
    for offset, told in notes:
        reader = Reader(told)
        while reader.position < len(told):
            start = reader.position
            reader.skip(STRUCT)
            groups.append(parse_group(move_group(told[start : reader.position], offset)))
    return write_batches(layout.schema, [], layout.encoding).footer.with_groups(groups)


def _choose_encoding(columns: Sequence[Column], names: Mapping[str, str], added: Sequence[Field]) -> Encoding:
    """Columns as they were encoded in the file, under their new names; a dictionary for texts that repeat."""
    codec = columns[0].codec if columns else USUAL_CODEC
    kept = [column for column in columns if column.path[0] in names and column.dictionary]
    dictionaries: dict[str | Sequence[str], bool] = {(names[column.path[0]], *column.path[1:]): True for column in kept}
    dictionaries |= {(field.name,): True for field in added if field.name == MODEL_VERSION or is_text(field.type)}
    return Encoding(CODECS.get(codec, codec), dictionaries)
