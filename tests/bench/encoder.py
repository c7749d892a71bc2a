"""A text encoder of about 90 MB with random weights: six BERT layers of width 384, as MiniLM has.

Speed and memory depend on the shapes, not on what the weights say, so nothing has to be downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

VOCABULARY = 30_522
WIDTH = 384
HEADS = 12
INNER = 1_536
LAYERS = 6
POSITIONS = 512


class _Graph:
    """Nodes and weights as they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        return self.constant(name, (self._random.standard_normal(shape) * 0.02).astype(np.float32))

    def ones(self, name: str) -> str:
        return self.constant(name, np.ones(WIDTH, np.float32))

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - whatever it takes
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def dense(self, name: str, value: str, width_in: int, width_out: int) -> str:
        product = self.node("MatMul", value, self.weight(f"{name}.weight", width_in, width_out))
        return self.node("Add", product, self.weight(f"{name}.bias", width_out))

    def normalize(self, name: str, value: str) -> str:
        scale, bias = self.ones(f"{name}.scale"), self.weight(f"{name}.bias", WIDTH)
        return self.node("LayerNormalization", value, scale, bias, axis=-1, epsilon=1e-12)


def _attention(graph: _Graph, name: str, value: str) -> str:
    def heads(part: str, order: list[int]) -> str:
        dense = graph.dense(f"{name}.{part}", value, WIDTH, WIDTH)
        return graph.node("Transpose", graph.node("Reshape", dense, "split"), perm=order)

    query, key, content = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
    scores = graph.node("Softmax", graph.node("Mul", graph.node("MatMul", query, key), "scale"), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", scores, content), perm=[0, 2, 1, 3])
    return graph.dense(f"{name}.out", graph.node("Reshape", mixed, "merge"), WIDTH, WIDTH)


def write_encoder(path: Path) -> None:
    """Write the encoder: `input_ids` INT64 [-1, -1] in, `embedding` FP32 [-1, 384] out."""
    graph = _Graph()
    graph.constant("split", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
    graph.constant("merge", np.array([0, 0, WIDTH], np.int64))
    graph.constant("scale", np.array((WIDTH // HEADS) ** -0.5, np.float32))
    hidden = graph.node("Gather", graph.weight("embeddings", VOCABULARY, WIDTH), "input_ids")
    hidden = graph.normalize("embeddings.norm", hidden)
    for layer in range(LAYERS):
        name = f"layer{layer}"
        hidden = graph.normalize(f"{name}.norm1", graph.node("Add", hidden, _attention(graph, name, hidden)))
        inner = graph.node("Gelu", graph.dense(f"{name}.up", hidden, WIDTH, INNER))
        hidden = graph.normalize(
            f"{name}.norm2", graph.node("Add", hidden, graph.dense(f"{name}.down", inner, INNER, WIDTH))
        )
    graph.nodes.append(helper.make_node("ReduceMean", [hidden, "axes"], ["embedding"], keepdims=0))
    graph.constant("axes", np.array([1], np.int64))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "encoder",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["rows", "tokens"])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["rows", WIDTH])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)
