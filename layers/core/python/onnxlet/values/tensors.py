"""Tensors: numpy arrays by name, the datatypes they may have, and how they are packed into documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.values.datatypes import DATATYPES, VARIABLE, Datatype, datatype_of_onnx

__all__ = [
    "DATATYPES",
    "VARIABLE",
    "Datatype",
    "PackedTensor",
    "Tensor",
    "Tensors",
    "datatype_of_onnx",
    "pack",
    "stack_padded",
    "unpack",
]

Tensor = np.ndarray[tuple[Any, ...], np.dtype[Any]]
"""A numpy array; BYTES tensors are object arrays of str."""

Tensors = dict[str, Tensor]
"""Tensors by name."""


class PackedTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor within a document: `data` are its little-endian bytes, those of BYTES are `strings` instead."""

    datatype: str
    shape: tuple[int, ...]
    data: bytes = b""
    strings: tuple[str, ...] = ()


def pack(tensors: Tensors) -> dict[str, PackedTensor]:
    """The tensors for a document. Raises InvalidInputError for one of no known datatype."""
    return {name: _packed(name, tensor) for name, tensor in tensors.items()}


def unpack(packed: dict[str, PackedTensor]) -> Tensors:
    """The tensors of a document. Raises ValueError and KeyError for what is none."""
    return {name: _unpacked(tensor) for name, tensor in packed.items()}


def _packed(name: str, tensor: Tensor) -> PackedTensor:
    if tensor.dtype.kind in "OU":
        return PackedTensor("BYTES", tensor.shape, strings=tuple(map(str, tensor.ravel().tolist())))
    for datatype in DATATYPES.values():
        if datatype.numpy == tensor.dtype:
            data = tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
            return PackedTensor(datatype.name, tensor.shape, data)
    raise InvalidInputError(f"tensor {name!r} has the element type {str(tensor.dtype)!r}, which no datatype has")


def _unpacked(tensor: PackedTensor) -> Tensor:
    datatype = DATATYPES[tensor.datatype].numpy
    if datatype.kind == "O":
        return np.array(tensor.strings, dtype=object).reshape(tensor.shape)
    flat = np.frombuffer(tensor.data, datatype.newbyteorder("<"))
    return cast("Tensor", flat.astype(datatype, copy=False).reshape(tensor.shape))


def stack_padded(parts: Sequence[Tensor]) -> Tensor:
    """The tensors one below the other; those that are narrower are filled up with 0."""
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    widest = np.max([part.shape[1:] for part in parts], axis=0)
    stacked = np.zeros((sum(map(len, parts)), *widest), dtype=parts[0].dtype)
    start = 0
    for part in parts:
        stacked[(slice(start, start + len(part)), *map(slice, part.shape[1:]))] = part
        start += len(part)
    return stacked
