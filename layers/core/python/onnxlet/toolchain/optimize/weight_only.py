"""Weight-only quantization: weights of large matrix products as integers of 8 or 4 bits, in blocks with scales of their
own; activations stay float. The operator is ONNX Runtime's MatMulNBits (com.microsoft), whose layout is written in its
documentation, ContribOperators.md: B [N, blocks, bytes], scales [N, blocks], zero points packed like B, low bits first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from onnxlet.toolchain.optimize.embeddings import quantize_tables
from onnxlet.toolchain.optimize.graph import Survey, Weights, import_domain
from onnxlet.values.tensors import Tensor

METHOD = "weight-only"
BLOCK = 32
DOMAIN = "com.microsoft"
SMALLEST = 2**14
"""Weights of fewer numbers are not worth their scales."""
INTEGER_ARITHMETIC = 4
"""The accuracy level at which activations are quantized by block while they are multiplied: the fast one."""


@dataclass(frozen=True)
class Packed:
    """A weight [K, N] as MatMulNBits wants it."""

    integers: Tensor
    scales: Tensor
    zero_points: Tensor


def large_products(model: onnx.ModelProto, surveyed: Survey) -> tuple[str, ...]:
    """Those matrix products whose weights are large enough, and of two dimensions."""
    shapes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    return tuple(
        node.name
        for node in model.graph.node
        if node.name in surveyed.products
        and len(shapes[node.input[1]]) == 2  # noqa: PLR2004 - a matrix
        and prod(shapes[node.input[1]]) >= SMALLEST
        and _is_plain(node)
    )


def quantize(source: Path, destination: Path, surveyed: Survey, *, bits: int, keep: Sequence[str]) -> None:
    """Write the graph at `source` with its large weights in blocks, but for the nodes to `keep` as they are."""
    model = onnx.load(source)
    quantize_tables(model, set(surveyed.embeddings).difference(keep))
    wanted = set(large_products(model, surveyed)).difference(keep)
    graph, weights = model.graph, Weights(model.graph)
    rewritten: list[onnx.NodeProto] = []
    for node in graph.node:
        rewritten += _as_matmul_nbits(node, weights, bits) if node.name in wanted else [node]
    del graph.node[:]
    graph.node.extend(rewritten)
    weights.drop_unused()
    import_domain(model, DOMAIN)
    onnx.save_model(model, destination)


def _as_matmul_nbits(node: onnx.NodeProto, weights: Weights, bits: int) -> list[onnx.NodeProto]:
    """A matrix product as MatMulNBits, and the addition that a Gemm ends with."""
    name = node.input[1]
    weight = weights.floats(name)
    if weight is None:
        return [node]
    if any(attribute.name == "transB" and attribute.i for attribute in node.attribute):
        weight = weight.T
    packed = pack(weight, bits)
    inputs = [
        node.input[0],
        weights.add(f"{name}_{bits}_bits", packed.integers),
        weights.add(f"{name}_scales", packed.scales),
        weights.add(f"{name}_zero_points", packed.zero_points),
    ]
    biased = len(node.input) > 2 and node.input[2]  # noqa: PLR2004 - Gemm's third
    product = f"{node.output[0]}_product" if biased else node.output[0]
    rows, columns = weight.shape
    attributes = {"K": rows, "N": columns, "bits": bits, "block_size": BLOCK, "accuracy_level": INTEGER_ARITHMETIC}
    nodes = [helper.make_node("MatMulNBits", inputs, [product], name=node.name, domain=DOMAIN, **attributes)]
    if biased:
        nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{node.name}_Add"))
    return nodes


def pack(weight: Tensor, bits: int) -> Packed:
    """Quantize a weight [K, N] along K, asymmetrically, block by block."""
    rows, columns = weight.shape
    blocks = -(-rows // BLOCK)
    padded = np.zeros((columns, blocks * BLOCK), dtype=np.float32)
    padded[:, :rows] = weight.T
    parts = padded.reshape(columns, blocks, BLOCK)
    most = 2**bits - 1
    low, high = np.minimum(parts.min(axis=2), 0), np.maximum(parts.max(axis=2), 0)
    scales = ((high - low) / most).astype(np.float32)
    scales[scales == 0] = 1
    zero_points = np.clip(np.round(-low / scales), 0, most).astype(np.uint8)
    integers = np.clip(np.round(parts / scales[..., None]) + zero_points[..., None], 0, most).astype(np.uint8)
    if bits == 8:  # noqa: PLR2004 - one to a byte
        return Packed(integers, scales, zero_points)
    return Packed(_pack_nibbles(integers), scales, _pack_nibbles(zero_points))


def _pack_nibbles(nibbles: Tensor) -> Tensor:
    """Two integers of 4 bits in a byte, the first one low; an odd last one stands alone."""
    if nibbles.shape[-1] % 2:
        nibbles = np.concatenate([nibbles, np.zeros_like(nibbles[..., :1])], axis=-1)
    return np.bitwise_or(nibbles[..., 0::2], np.left_shift(nibbles[..., 1::2], 4))


def _is_plain(node: onnx.NodeProto) -> bool:
    """Whether it multiplies its inputs as they are, but for a transposed weight."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    return (
        not ("transA" in attributes and attributes["transA"].i)
        and (attributes["alpha"].f if "alpha" in attributes else 1.0) == 1.0
        and (attributes["beta"].f if "beta" in attributes else 1.0) == 1.0
    )
