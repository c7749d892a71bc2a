"""Arrow's arrays as numpy's: values and which of them are null, of arrays that have nulls too.

Those are read from their buffers, as the C data interface gives them: arrow.apache.org/docs/format/CDataInterface.html.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from arro3.core import DataType, list_flatten, list_offsets

from onnxlet.batch.formats.arrays import Flags
from onnxlet.values.tensors import Tensor

if TYPE_CHECKING:
    from arro3.core import Array


class Numbers(NamedTuple):
    """Values [N], and which of them are null; None if none is."""

    values: Tensor
    gaps: Flags | None


class Flat(NamedTuple):
    """What lists hold, and the shape of what each row has of it."""

    values: Array
    shape: tuple[int, ...]


class _ArrowArray(ctypes.Structure):
    """The beginning of the interface's structure of this name."""

    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    )


_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = (ctypes.py_object, ctypes.c_char_p)


def is_plain(kind: DataType) -> bool:
    """Whether elements of a type lie in memory as numpy has them."""
    return DataType.is_integer(kind) or DataType.is_floating(kind) or DataType.is_boolean(kind)


def is_text(kind: DataType) -> bool:
    """Whether elements of a type are texts."""
    return DataType.is_string(kind) or DataType.is_large_string(kind) or DataType.is_string_view(kind)


def describe_type(kind: DataType) -> str:
    """A type as Arrow calls it."""
    return repr(kind).strip().removeprefix("arro3.core.DataType<").removesuffix(">")


def to_numbers(array: Array) -> Numbers:
    """An array of integers, floats or truths."""
    if not array.null_count:
        return Numbers(array.to_numpy(), None)
    _, capsule = array.__arrow_c_array__()
    exported = _ArrowArray.from_address(_pointer_of(capsule, b"arrow_array"))
    validity, values = exported.buffers[0], exported.buffers[1]
    end = exported.offset + exported.length
    gaps = ~_read_bits(validity, exported.offset, end)
    if DataType.is_boolean(array.type):
        return Numbers(_read_bits(values, exported.offset, end), gaps)
    dtype = array.slice(0, 0).to_numpy().dtype
    octets = (ctypes.c_uint8 * (end * dtype.itemsize)).from_address(values)
    return Numbers(np.frombuffer(memoryview(octets), dtype)[exported.offset :].copy(), gaps)


def flatten(array: Array, levels: int) -> Flat | None:
    """What lists [N] hold; None unless all of them are there and of one length."""
    shape: list[int] = []
    for _ in range(levels):
        size = _common_size(array)
        if size is None:
            return None
        array = list_flatten(array)
        shape.append(size)
    return Flat(array, tuple(shape))


def _common_size(array: Array) -> int | None:
    if array.null_count or not len(array):
        return None
    if DataType.is_fixed_size_list(array.type):
        return array.type.list_size
    if not DataType.is_list(array.type) and not DataType.is_large_list(array.type):
        return None
    sizes = np.diff(list_offsets(array).to_numpy())
    return int(sizes[0]) if (sizes == sizes[0]).all() else None


def _read_bits(address: int, start: int, end: int) -> Flags:
    octets = (ctypes.c_uint8 * -(-end // 8)).from_address(address)
    bits = np.unpackbits(np.frombuffer(memoryview(octets), np.uint8), count=end, bitorder="little")
    return bits[start:].astype(np.bool_)
