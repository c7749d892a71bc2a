"""The Parquet that is written: the input's columns as they are, and what the model says of them behind them.

An output of several numbers is a column for each where they have titles, as probabilities have; else a column of lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, Schema, list_array

from onnxlet.batch.formats.arrow_arrays import is_text
from onnxlet.batch.formats.arrow_files import Encoding, write_batches
from onnxlet.batch.formats.parquet_footer import MAGIC, Column, move_group, parse_group
from onnxlet.batch.formats.thrift import STRUCT, Reader
from onnxlet.batch.inputs import MODEL_VERSION, ROW, Inputs, free_name
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Note, Sink
    from onnxlet.values.signature import TensorSpec

CODECS = {"zstd": "zstd(1)", "gzip": "gzip(6)", "brotli": "brotli(4)", "lz4": "lz4_raw", "lzo": "snappy"}
"""How what is read so is written, where that is not by the codec's own name."""
USUAL_CODEC = "snappy"
"""That of a file that says nothing."""
_TYPES = {
    "BOOL": DataType.bool(),
    "UINT8": DataType.uint8(),
    "UINT16": DataType.uint16(),
    "UINT32": DataType.uint32(),
    "UINT64": DataType.uint64(),
    "INT8": DataType.int8(),
    "INT16": DataType.int16(),
    "INT32": DataType.int32(),
    "INT64": DataType.int64(),
    "FP16": DataType.float16(),
    "FP32": DataType.float32(),
    "FP64": DataType.float64(),
    "BYTES": DataType.string(),
}
"""Arrow's types of datatypes."""


class ParquetLayout:
    """Which columns of a file are written, and which follow them; `columns` tell how those of the file were encoded.

    Raises InvalidInputError for columns to keep that the file has not.
    """

    def __init__(self, schema: Schema, columns: Sequence[Column], inputs: Inputs) -> None:
        self._inputs = inputs
        self._kept = inputs.find_kept(schema.names)
        self._whole = len(self._kept) == len(schema.names)
        self._titles = {spec.name: _find_titles(spec, inputs) for spec in inputs.outputs}
        added = list(self._list_added())
        taken = {field.name for field in added}
        names = {schema.names[place]: free_name(schema.names[place], taken) for place in self._kept}
        fields = [schema.field(name).with_name(new) for name, new in names.items()]
        self.schema = Schema([*fields, *added], metadata=schema.metadata)
        self.encoding = _choose_encoding(columns, names, added)

    def arrange(self, batch: RecordBatch, numbers: Sequence[int], outputs: Tensors) -> RecordBatch:
        """Rows with their numbers and outputs."""
        columns = batch.columns
        kept = columns if self._whole else [columns[place] for place in self._kept]
        added = [Array.from_numpy(np.array(numbers, np.int64))]
        for spec in self._inputs.outputs:
            tensor = outputs[spec.name].astype(spec.type.numpy, copy=False)
            titles = self._titles[spec.name]
            if titles:
                flat = tensor.reshape(len(numbers), -1)
                added += [_make_array(flat[:, place], spec) for place in range(len(titles))]
            else:
                added.append(_make_lists(tensor, spec))
        if self._inputs.version is not None:
            added.append(Array.from_numpy(np.full(len(numbers), self._inputs.version, np.int32)))
        return RecordBatch.from_arrays([*kept, *added], schema=self.schema)

    def _list_added(self) -> Iterator[Field]:
        yield Field(ROW, DataType.int64(), nullable=False)
        for spec in self._inputs.outputs:
            titles = self._titles[spec.name]
            kind = _TYPES[spec.type.name] if titles else _list_type(spec)
            yield from (Field(name, kind, nullable=False) for name in titles or [spec.name])
        if self._inputs.version is not None:
            yield Field(MODEL_VERSION, DataType.int32(), nullable=False)


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


def _find_titles(spec: TensorSpec, inputs: Inputs) -> tuple[str, ...]:
    """How the columns of an output are called, if it has a column for each of its numbers."""
    if VARIABLE in spec.shape[1:]:
        return ()
    width = prod(spec.shape[1:])
    titles = inputs.titles.get(spec.name, ())
    return (spec.name,) if width == 1 else titles if len(titles) == width else ()


def _list_type(spec: TensorSpec) -> DataType:
    kind = _TYPES[spec.type.name]
    for _ in spec.shape[1:]:
        kind = DataType.list(Field("element", kind, nullable=False))
    return kind


def _make_lists(tensor: Tensor, spec: TensorSpec) -> Array:
    """An output [N, …] as lists within lists."""
    array, kind = _make_array(tensor.reshape(-1), spec), _TYPES[spec.type.name]
    for level in range(tensor.ndim - 1, 0, -1):
        kind = DataType.list(Field("element", kind, nullable=False))
        offsets = np.arange(prod(tensor.shape[:level]) + 1, dtype=np.int32) * tensor.shape[level]
        array = list_array(Array.from_numpy(offsets), array, type=kind)
    return array


def _make_array(values: Tensor, spec: TensorSpec) -> Array:
    if spec.type.kind == "s":
        return Array(values.tolist(), type=DataType.string())
    return Array.from_numpy(np.ascontiguousarray(values))


def _choose_encoding(columns: Sequence[Column], names: Mapping[str, str], added: Sequence[Field]) -> Encoding:
    """Columns as they were encoded in the file, under their new names; a dictionary for texts that repeat."""
    codec = columns[0].codec if columns else USUAL_CODEC
    kept = [column for column in columns if column.path[0] in names and column.dictionary]
    dictionaries: dict[str | Sequence[str], bool] = {(names[column.path[0]], *column.path[1:]): True for column in kept}
    dictionaries |= {(field.name,): True for field in added if field.name == MODEL_VERSION or is_text(field.type)}
    return Encoding(CODECS.get(codec, codec), dictionaries)
