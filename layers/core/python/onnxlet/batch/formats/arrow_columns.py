"""Batches of Arrow arrays → a model's tensors: which columns of a file they are made of, found when it is opened.

A column is found by its name. For a model without named columns there is a column for each of its inputs, with lists
for those that have more dimensions; or, for a matrix, all of the file's columns are the numbers of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from arro3.core import DataType

from onnxlet.batch.formats.arrays import judge_values, parse_value, read_numbers
from onnxlet.batch.formats.arrow_arrays import describe_type, flatten, is_plain, is_text, to_numbers
from onnxlet.batch.formats.chunks import Batch, Chunk, ParsedRows
from onnxlet.batch.formats.columns import ReadColumn, assemble, collect_columns, lacking_error
from onnxlet.batch.formats.elements import read_elements
from onnxlet.batch.inputs import Inputs
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES, VARIABLE
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor

if TYPE_CHECKING:
    from arro3.core import Array, RecordBatch, Schema

Read = Callable[[Chunk, "RecordBatch"], ParsedRows]
"""Reads the rows of a batch, which are those of a chunk."""

_SCALAR = ((), (1,))
"""What a row has of an input that is a single value."""


def plan_reading(schema: Schema, inputs: Inputs) -> Read:
    """How rows of a file are read. Raises InvalidInputError if it has not what the model needs."""
    names = schema.names
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InvalidInputError(f"columns {names.index(name) + 1} and {place + 1} have the same name: {name!r}")
    if inputs.columns is None and any(spec.shape[1:] not in _SCALAR for spec in inputs.specs):
        return _plan_elements(schema, inputs)
    columns = inputs.columns or tuple(Column(spec.name, spec.datatype) for spec in inputs.specs)
    missing = [column.name for column in columns if column.default is None and column.name not in names]
    if missing:
        raise lacking_error(missing, names)
    return _ColumnReader(columns, schema, inputs).read


def _plan_elements(schema: Schema, inputs: Inputs) -> Read:
    (first, *others), names = inputs.specs, schema.names
    if not others and len(names) == 1:
        return _ElementReader(inputs.specs, {first.name: names[0]}, schema).read
    if not others and len(first.shape) == 2 and first.name not in names:  # noqa: PLR2004 - a matrix
        if first.shape[1] not in {VARIABLE, len(names)}:
            raise InvalidInputError(
                f"the model's input {first.name!r} takes {first.shape[1]} columns, the file has {len(names)}"
            )
        return _ColumnReader(tuple(Column(name, first.datatype) for name in names), schema, inputs).read
    missing = [spec.name for spec in inputs.specs if spec.name not in names]
    if missing:
        raise lacking_error(missing, names)
    return _ElementReader(inputs.specs, {spec.name: spec.name for spec in inputs.specs}, schema).read


def _is_number(kind: DataType) -> bool:
    return DataType.is_integer(kind) or DataType.is_floating(kind) or DataType.is_decimal(kind)


def _is_truth(kind: DataType) -> bool:
    return DataType.is_boolean(kind) or _is_number(kind)


_KINDS = {
    "f": ("numbers", _is_number),
    "i": ("integers", _is_number),
    "b": ("truths", _is_truth),
    "s": ("texts", is_text),
}
"""What elements of a datatype's kind are called, and whether a column of a type may hold them."""


class _ColumnReader:
    """Reads columns of single values."""

    def __init__(self, columns: tuple[Column, ...], schema: Schema, inputs: Inputs) -> None:
        self._columns = columns
        self._inputs = inputs
        self._places = {name: place for place, name in enumerate(schema.names)}
        self._types = {column.name: schema.field(column.name).type for column in columns if column.name in self._places}
        for column in columns:
            if column.name in self._types:
                _check_type(column.name, self._types[column.name], column.datatype)

    def read(self, chunk: Chunk, batch: RecordBatch) -> ParsedRows:
        parsed = collect_columns(chunk, self._columns, lambda column: self._read(column, batch))
        inputs = assemble(parsed.tensors, self._inputs) if parsed.positions else {}
        return ParsedRows([Batch(parsed.positions, inputs)] if parsed.positions else [], parsed.bad)

    def _read(self, column: Column, batch: RecordBatch) -> ReadColumn:
        if column.name not in self._places:
            return np.full(batch.num_rows, column.default, DATATYPES[column.datatype].numpy), {}
        array = batch.column(self._places[column.name])
        if is_plain(self._types[column.name]):
            values, gaps = to_numbers(array)
            return read_numbers(values, column, gaps)
        return judge_values(list(array.to_pylist()), column)


class _ElementReader:
    """Reads columns of values or lists, one for each of a model's inputs: `names` are theirs."""

    def __init__(self, specs: Sequence[TensorSpec], names: Mapping[str, str], schema: Schema) -> None:
        self._specs = specs
        self._names = names
        for spec in specs:
            kind = schema.field(names[spec.name]).type
            while (inner := kind.value_type) is not None and not DataType.is_dictionary(kind):
                kind = inner
            _check_type(names[spec.name], kind, spec.datatype)

    def read(self, chunk: Chunk, batch: RecordBatch) -> ParsedRows:
        arrays = {spec.name: batch.column(self._names[spec.name]) for spec in self._specs}
        quick = {spec.name: _read_alike(arrays[spec.name], spec) for spec in self._specs}
        inputs = {name: tensor for name, tensor in quick.items() if tensor is not None}
        if len(inputs) == len(quick):
            return ParsedRows([Batch(range(batch.num_rows), inputs)], [])
        columns = [array.to_pylist() for array in arrays.values()]
        rows = (dict(zip(arrays, row, strict=True)) for row in zip(*columns, strict=True))
        return read_elements(chunk, enumerate(rows), self._specs, parse_value)


def _read_alike(array: Array, spec: TensorSpec) -> Tensor | None:
    """A column of lists of one shape as a tensor; None if they are not so, or some values may be bad."""
    flat = flatten(array, len(spec.shape) - 1)
    if flat is None or not is_plain(flat.values.type):
        return None
    if any(wanted not in {VARIABLE, got} for wanted, got in zip(spec.shape[1:], flat.shape, strict=True)):
        return None
    values, gaps = to_numbers(flat.values)
    tensor, faults = read_numbers(values, Column(spec.name, spec.datatype), gaps)
    return None if faults else tensor.reshape(len(array), *flat.shape)


def _check_type(name: str, kind: DataType, datatype: str) -> None:
    """Raises InvalidInputError for a column whose values are none of a datatype."""
    elements = kind.value_type if DataType.is_dictionary(kind) else kind
    wanted, holds = _KINDS[DATATYPES[datatype].kind]
    if elements is None or not (DataType.is_null(elements) or holds(elements)):
        raise InvalidInputError(
            f"column {name!r} holds {describe_type(kind)} where the model takes {wanted} ({datatype})"
        )
