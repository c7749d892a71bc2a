"""Dynamic quantization: weights of matrix products as 8-bit integers, activations quantized as they come.

On x86 processors without VNNI, sums of two products of unsigned activations and signed weights overflow 16 bits, and
a row gets another answer there. So weights are unsigned, or signed with 7 bits, which cannot overflow and are faster.
Activations have one scale per tensor, so a row's answer depends a little on the rows that it is sent with; hence
answers are compared in batches and row by row. Convolutions stay float: depthwise ones lose too much.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnxlet.toolchain.optimize.embeddings import quantize_tables
from onnxlet.toolchain.optimize.graph import Survey
from onnxlet.toolchain.optimize.quantizer_output import contain_quantizer

METHOD = "dynamic-int8"


@dataclass(frozen=True)
class WeightFormat:
    """The integers that weights become."""

    words: str
    signed: bool
    per_channel: bool


WEIGHT_FORMATS = {
    "x86-64": (
        WeightFormat("7-bit signed weights per channel", signed=True, per_channel=True),
        WeightFormat("8-bit weights per channel", signed=False, per_channel=True),
        WeightFormat("8-bit weights per tensor", signed=False, per_channel=False),
    ),
    "arm64": (
        WeightFormat("8-bit weights per channel", signed=False, per_channel=True),
        WeightFormat("8-bit weights per tensor", signed=False, per_channel=False),
    ),
}
"""The formats to try by processor; arm64 multiplies unsigned integers as fast."""


def quantize(
    source: Path, destination: Path, surveyed: Survey, weight_format: WeightFormat, *, keep: Sequence[str]
) -> None:
    """Write the graph at `source` with 8-bit weights to `destination`; the nodes to `keep` stay float.

    Raises RejectedModelError if the graph cannot be quantized so.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="onnxlet-") as folder, contain_quantizer():
        # the quantizer leaves an inferred copy beside its input
        prepared = Path(folder) / "prepared.onnx"
        model = onnx.load(source)
        quantize_tables(model, set(surveyed.embeddings).difference(keep))
        onnx.save_model(model, prepared)
        wanted = [name for name in (*surveyed.products, *surveyed.recurrent) if name not in keep]
        if not wanted:
            prepared.replace(destination)
            return
        quantize_dynamic(
            prepared,
            destination,
            op_types_to_quantize=["MatMul", "LSTM"],  # Gemm x is taken apart into MatMul x_MatMul and Add
            per_channel=weight_format.per_channel,
            reduce_range=weight_format.signed,
            weight_type=QuantType.QInt8 if weight_format.signed else QuantType.QUInt8,
            # what has no inferred type here comes out of another matrix product
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            nodes_to_exclude=[name for kept in keep for name in (kept, f"{kept}_MatMul")],
        )
