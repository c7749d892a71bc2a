"""Tensors: numpy arrays by name, and the datatypes they may have."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlet.values.datatypes import DATATYPES, VARIABLE, Datatype, datatype_of_onnx

__all__ = ["DATATYPES", "VARIABLE", "Datatype", "Tensor", "Tensors", "datatype_of_onnx"]

Tensor = np.ndarray[tuple[Any, ...], np.dtype[Any]]
"""A numpy array; BYTES tensors are object arrays of str."""

Tensors = dict[str, Tensor]
"""Tensors by name."""
