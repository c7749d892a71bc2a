"""float16 weights: half the bytes on disk; arithmetic stays float32.

A weight is cast to float32 where it is read, and ONNX Runtime folds the cast when it loads the graph. Tables of
embeddings stay small in memory as well, as only the rows that are looked up are cast. Publishing must not fold the
casts: see `toolchain.prepare`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxlet.toolchain.optimize.graph import Weights
from onnxlet.values.tensors import Tensor

METHOD = "fp16-weights"
SMALLEST = 256
"""Weights of fewer numbers are not worth a further node."""


def store_float16_weights(source: Path, destination: Path) -> None:
    """Write the graph at `source` with float16 weights; weights with numbers beyond float16's range stay float32."""
    model = onnx.load(source)
    graph, weights = model.graph, Weights(model.graph)
    outputs = {value.name for value in graph.output}
    stored = {
        name: values.astype(np.float16)
        for name in [tensor.name for tensor in graph.initializer]
        if (values := weights.floats(name)) is not None and name not in outputs and _fits(values)
    }
    tables = [node for node in graph.node if node.op_type == "Gather" and node.input[0] in stored]
    for node in tables:
        _look_up(node, graph, weights, stored[node.input[0]])
    casts = []
    read = {name for node in graph.node for name in node.input}
    for name in stored.keys() & read:
        name_of_half = weights.add(f"{name}_half", stored[name])
        casts.append(helper.make_node("Cast", [name_of_half], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    # inner graphs read what the outer one computes, so a weight that only they use stays where it is
    kept = [tensor for tensor in graph.initializer if tensor.name not in stored.keys() & read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [*sorted(casts, key=lambda cast: cast.name), *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    weights.drop_unused()
    onnx.save_model(model, destination)


def _fits(values: Tensor) -> bool:
    return values.size >= SMALLEST and bool(np.isfinite(values).all()) and float(np.abs(values).max()) < _MOST


def _look_up(node: onnx.NodeProto, graph: onnx.GraphProto, weights: Weights, table: Tensor) -> None:
    """Let a Gather read the float16 table, and cast the rows that it looks up."""
    (answer,) = node.output
    node.input[0] = weights.add(f"{node.input[0]}_half", table)
    node.output[0] = f"{answer}_half"
    cast = helper.make_node("Cast", [node.output[0]], [answer], name=f"{node.name}_cast", to=TensorProto.FLOAT)
    position = next(index for index, other in enumerate(graph.node) if other.name == node.name)
    graph.node.insert(position + 1, cast)


_MOST = float(np.finfo(np.float16).max)
