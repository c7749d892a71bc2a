"""Datatypes of tensors, in the words of the Open Inference Protocol, and their names elsewhere.

The table needs no numpy, so that whoever only reads manifests does not load it.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from onnxlet.errors import RejectedModelError

if TYPE_CHECKING:
    import numpy as np

VARIABLE = -1
"""A dimension of any size."""


class Datatype(msgspec.Struct, frozen=True, dict=True):
    """One element type: its name in the Open Inference Protocol, in ONNX Runtime, in TensorFlow's DataType enum and
    in numpy.
    """

    name: str
    onnx: str
    tensorflow: str
    numpy_name: str
    kind: str
    """b bool, i integer, f floating point, s string."""

    @cached_property
    def numpy(self) -> "np.dtype[Any]":
        """The dtype of arrays that hold such elements; numpy is loaded by the first who asks."""
        import numpy as np

        return np.dtype(self.numpy_name)


DATATYPES: dict[str, Datatype] = {
    row[0]: Datatype(row[0], f"tensor({row[1]})", row[2], row[3], row[4])
    for row in (
        ("BOOL", "bool", "DT_BOOL", "bool", "b"),
        ("UINT8", "uint8", "DT_UINT8", "uint8", "i"),
        ("UINT16", "uint16", "DT_UINT16", "uint16", "i"),
        ("UINT32", "uint32", "DT_UINT32", "uint32", "i"),
        ("UINT64", "uint64", "DT_UINT64", "uint64", "i"),
        ("INT8", "int8", "DT_INT8", "int8", "i"),
        ("INT16", "int16", "DT_INT16", "int16", "i"),
        ("INT32", "int32", "DT_INT32", "int32", "i"),
        ("INT64", "int64", "DT_INT64", "int64", "i"),
        ("FP16", "float16", "DT_HALF", "float16", "f"),
        ("FP32", "float", "DT_FLOAT", "float32", "f"),
        ("FP64", "double", "DT_DOUBLE", "float64", "f"),
        ("BYTES", "string", "DT_STRING", "object", "s"),
    )
}

_BY_ONNX = {datatype.onnx: datatype for datatype in DATATYPES.values()}


def datatype_of_onnx(onnx: str) -> Datatype:
    """The datatype that ONNX Runtime calls `onnx`, as `tensor(float)`. Raises RejectedModelError for maps and such."""
    try:
        return _BY_ONNX[onnx]
    except KeyError:
        raise RejectedModelError(
            f"the graph has an input or output of type {onnx!r}, which cannot be served", type=onnx
        ) from None
