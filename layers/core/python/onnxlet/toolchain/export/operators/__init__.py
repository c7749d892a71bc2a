"""ONNX's operators in TensorFlow's, one file per family; importing this package imports TensorFlow.

What an operator means is defined in https://onnx.ai/onnx/operators/ and, for com.microsoft, in ONNX Runtime's
ContribOperators.md. Layouts stay as ONNX has them, channels first.
"""

from onnxlet.toolchain.export.operators import (
    arithmetic,
    classical,
    control,
    convolution,
    fused,
    normalization,
    quantized,
    recurrent,
    reducing,
    resizing,
    selecting,
    shaping,
    spectral,
    trees,
)
from onnxlet.toolchain.export.operators.call import OPERATORS, NodeCall

__all__ = [
    "OPERATORS",
    "NodeCall",
    "arithmetic",
    "classical",
    "control",
    "convolution",
    "fused",
    "normalization",
    "quantized",
    "recurrent",
    "reducing",
    "resizing",
    "selecting",
    "shaping",
    "spectral",
    "trees",
]
