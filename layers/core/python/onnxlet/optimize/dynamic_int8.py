"""Dynamic quantization: weights of matrix products as 8-bit integers, activations quantized as they come.

Weights are unsigned: with signed ones, sums of two products overflow 16 bits on x86 CPUs without VNNI, and the same
row gets another answer there. Activations share one scale per tensor, so that a row's answer depends a little on those
that it is sent with; hence answers are compared both ways.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx

METHOD = "dynamic-int8"
_PRODUCTS = ("MatMul", "Gemm")


def weighted_products(model: onnx.ModelProto) -> list[str]:
    """Names of the matrix products with constant float32 weights, in the graph's order."""
    weights = {
        weight.name
        for weight in model.graph.initializer
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) > 1
    }
    return [
        node.name for node in named_nodes(model).graph.node if node.op_type in _PRODUCTS and node.input[1] in weights
    ]


def quantize(source: Path, destination: Path, *, keep: Sequence[str]) -> None:
    """Write the graph at `source` with 8-bit weights, but for the products to `keep` as they are."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(prefix="onnxlet-") as folder, _hushed():
        # the quantizer leaves an inferred copy beside its input
        named = Path(folder) / "named.onnx"
        onnx.save_model(named_nodes(onnx.load(source)), named)
        quantize_dynamic(
            named,
            destination,
            op_types_to_quantize=["MatMul"],  # Gemm x is taken apart into MatMul x_MatMul and Add
            per_channel=False,
            reduce_range=False,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=[name for product in keep for name in (product, f"{product}_MatMul")],
        )


def named_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a name for every node, as the quantizer wants to speak of them."""
    taken = {node.name for node in model.graph.node}
    for number, node in enumerate(model.graph.node):
        if not node.name:
            node.name = next(name for name in _names(f"{node.op_type}_{number}") if name not in taken)
            taken.add(node.name)
    return model


def _names(stem: str) -> Iterator[str]:
    while True:
        yield stem
        stem += "_"


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what the quantizer logs from the root logger, which it would even set up."""
    root = logging.getLogger()
    nowhere = logging.NullHandler()

    def only_others(record: logging.LogRecord) -> bool:
        return "onnxruntime" not in record.pathname

    root.addHandler(nowhere)
    root.addFilter(only_others)
    try:
        yield
    finally:
        root.removeFilter(only_others)
        root.removeHandler(nowhere)
