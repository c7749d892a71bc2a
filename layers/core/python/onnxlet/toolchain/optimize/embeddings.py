"""Embeddings in 8 bits: each row of a table is integers with a scale; rows that are looked up become floats."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxlet.toolchain.optimize.graph import Weights
from onnxlet.values.tensors import Tensor

LARGEST = 127


def quantize_tables(model: onnx.ModelProto, nodes: Collection[str]) -> None:
    """Store the tables of the named Gather nodes as signed bytes; each such node becomes four."""
    graph, weights = model.graph, Weights(model.graph)
    rewritten: list[onnx.NodeProto] = []
    for node in graph.node:
        table = weights.floats(node.input[0]) if node.op_type == "Gather" and node.name in nodes else None
        rewritten += [node] if table is None else _quantized_lookup(node, table, weights)
    del graph.node[:]
    graph.node.extend(rewritten)
    weights.drop_unused()


def _quantized_lookup(node: onnx.NodeProto, table: Tensor, weights: Weights) -> list[onnx.NodeProto]:
    name, rows, (answer,) = node.input[0], node.input[1], node.output
    scale = np.abs(table).max(axis=1, keepdims=True) / LARGEST
    scale[scale == 0] = 1
    # names that the quantizers do not make up as well
    integers = weights.add(f"{name}_rows_int8", np.round(table / scale).astype(np.int8))
    scales = weights.add(f"{name}_row_scales", scale.astype(np.float32))
    looked_up, cast, scaled = (f"{answer}_row{part}" for part in ("_int8", "_cast", "_factor"))
    return [
        helper.make_node("Gather", [integers, rows], [looked_up], name=f"{node.name}_row_int8"),
        helper.make_node("Cast", [looked_up], [cast], name=f"{node.name}_row_cast", to=_FLOAT),
        helper.make_node("Gather", [scales, rows], [scaled], name=f"{node.name}_row_factor"),
        helper.make_node("Mul", [cast, scaled], [answer], name=node.name),
    ]


_FLOAT = TensorProto.FLOAT
