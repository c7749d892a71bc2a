"""Static quantization: 8-bit weights per channel, and 8-bit activations by calibrated ranges.

The graph says so with QuantizeLinear and DequantizeLinear nodes (QDQ), which ONNX Runtime merges into integer operators
when it optimizes. Signed weights have 7 bits on x86: see `dynamic_int8`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from onnxlet.errors import RejectedModelError
from onnxlet.toolchain.optimize.calibration import METHODS, Sample
from onnxlet.toolchain.optimize.embeddings import quantize_tables
from onnxlet.toolchain.optimize.graph import CONVOLUTIONS, Survey
from onnxlet.toolchain.optimize.quantizer_output import contain_quantizer

METHOD = "static-int8"
OLDEST_OPSET = 13
"""The first one whose DequantizeLinear has an axis, for weights per channel."""
AROUND_CONVOLUTIONS = (
    *CONVOLUTIONS,
    *("MatMul", "Gemm", "Relu", "Clip", "LeakyRelu", "Add", "Mul", "Concat", "Split", "Pad", "Resize"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
)
"""Operators that pass integers on between convolutions; in other graphs only products gain from them."""
PRODUCTS = ("MatMul", "Gemm")
_BIAS = 2
"""The place of Gemm's input C."""


@dataclass(frozen=True)
class StaticFormat:
    """How ranges are calibrated, and whether weights become signed integers."""

    method: str
    signed: bool

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.method} ranges" if self.signed else f"{self.method} ranges, unsigned weights"


def static_formats(cpu: str) -> tuple[StaticFormat, ...]:
    """The ways worth trying on a processor: 7 signed bits are fast on x86, 8 unsigned ones are exact everywhere."""
    if cpu == "arm64":
        return tuple(StaticFormat(method, signed=False) for method in METHODS)
    return (*(StaticFormat(method, signed=True) for method in METHODS), StaticFormat(METHODS[0], signed=False))


def operators_of(surveyed: Survey) -> tuple[str, ...]:
    """The types of the operators to quantize in such a graph."""
    return AROUND_CONVOLUTIONS if surveyed.convolutions else PRODUCTS


def quantize(
    source: Path,
    destination: Path,
    surveyed: Survey,
    sample: Sample,
    static_format: StaticFormat,
    *,
    keep: Sequence[str],
) -> None:
    """Write the graph at `source`, whose nodes have names, in QDQ form, but for the nodes to `keep` as they are.

    Raises RejectedModelError where the ranges cannot be measured, or the graph cannot be quantized so.
    """
    operators = operators_of(surveyed)
    ranges = sample.ranges(source, static_format.method, operators)
    model = onnx.load(source)
    opset = max((entry.version for entry in model.opset_import if not entry.domain), default=0)
    if opset < OLDEST_OPSET:
        raise RejectedModelError(f"the graph has opset {opset}, static quantization needs {OLDEST_OPSET}")
    _flatten_biases(model.graph)
    with contain_quantizer():
        quantizer = _quantizer(model, ranges, static_format, operators, keep)
        quantizer.quantize_model()
    quantized = quantizer.model.model
    quantize_tables(quantized, set(surveyed.embeddings).difference(keep))
    onnx.save_model(quantized, destination)


def _quantizer(
    model: onnx.ModelProto, ranges: Any, static_format: StaticFormat, operators: Sequence[str], keep: Sequence[str]
) -> Any:
    """ONNX Runtime's quantizer for this model, which writes QDQ nodes."""
    from onnxruntime.quantization import QDQQuantizer, QuantType

    return QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),
        per_channel=True,
        reduce_range=static_format.signed,
        weight_qType=QuantType.QInt8 if static_format.signed else QuantType.QUInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=list(keep),
        op_types_to_quantize=list(operators),
        extra_options={
            "WeightSymmetric": True,
            "MatMulConstBOnly": True,
            "DefaultTensorType": onnx.TensorProto.FLOAT,
        },
    )


def _flatten_biases(graph: onnx.GraphProto) -> None:
    """Make biases [1, N] of Gemm [N], which adds up to the same: the quantizer can only scale those per channel."""
    uses = [
        (name, node.op_type == "Gemm" and place == _BIAS)
        for node in graph.node
        for place, name in enumerate(node.input)
    ]
    biases = {name for name, is_bias in uses if is_bias} - {name for name, is_bias in uses if not is_bias}
    for weight in graph.initializer:
        if weight.name in biases and len(weight.dims) == 2 and weight.dims[0] == 1:  # noqa: PLR2004 - one row
            del weight.dims[0]
