"""Outputs of a model → Arrow's columns: one for each number that has a title, as probabilities have; else lists."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from arro3.core import Array, DataType, Field, list_array

from onnxlet.batch.inputs import MODEL_VERSION, Inputs
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.values.signature import TensorSpec

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


class ArrowOutputs:
    """The columns of a model's outputs, and behind them the version that answered."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._titles = {spec.name: _find_titles(spec, inputs) for spec in inputs.outputs}
        self.fields = list(self._list_fields())

    def make_arrays(self, outputs: Tensors, rows: int) -> list[Array]:
        """A column for each field, for outputs [rows, …]."""
        made = []
        for spec in self._inputs.outputs:
            tensor = outputs[spec.name].astype(spec.type.numpy, copy=False)
            titles = self._titles[spec.name]
            if titles:
                flat = tensor.reshape(rows, -1)
                made += [_make_array(flat[:, place], spec) for place in range(len(titles))]
            else:
                made.append(_make_lists(tensor, spec))
        if self._inputs.version is not None:
            made.append(Array.from_numpy(np.full(rows, self._inputs.version, np.int32)))
        return made

    def _list_fields(self) -> Iterator[Field]:
        for spec in self._inputs.outputs:
            titles = self._titles[spec.name]
            kind = _TYPES[spec.type.name] if titles else _list_type(spec)
            yield from (Field(name, kind, nullable=False) for name in titles or [spec.name])
        if self._inputs.version is not None:
            yield Field(MODEL_VERSION, DataType.int32(), nullable=False)


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
