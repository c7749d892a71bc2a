"""A network of the shape and cost of ResNet-50, with random weights: 25.5 million of them, 4.1 billion products.

He et al., Deep Residual Learning for Image Recognition, table 1; normalizations are folded into the convolutions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
"""Of each stage its blocks and the width of their middle convolution."""
CLASSES = 1000
SIDE = 224
EXPANSION = 4


class _Graph:
    """Nodes and weights as they are added; values are named by their place."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - whatever it takes
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def weight(self, *shape: int) -> str:
        name = f"weight_{len(self.weights)}"
        scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.01
        array = (self._random.standard_normal(shape) * scale).astype(np.float32)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def convolve(self, value: str, before: int, after: int, size: int, stride: int = 1) -> str:
        pads = [size // 2] * 4
        weights = (self.weight(after, before, size, size), self.weight(after))
        return self.node("Conv", value, *weights, kernel_shape=[size, size], strides=[stride, stride], pads=pads)

    def block(self, value: str, before: int, width: int, stride: int) -> str:
        """A bottleneck: what it adds to its input, which is convolved too where the shape changes."""
        inner = self.node("Relu", self.convolve(value, before, width, 1))
        inner = self.node("Relu", self.convolve(inner, width, width, 3, stride))
        added = self.convolve(inner, width, EXPANSION * width, 1)
        if before != EXPANSION * width:
            value = self.convolve(value, before, EXPANSION * width, 1, stride)
        return self.node("Relu", self.node("Add", value, added))


def write_residual(path: Path) -> None:
    """Write it: `pixels` FP32 [-1, 3, 224, 224] in, `logits` FP32 [-1, 1000] out."""
    graph = _Graph()
    value = graph.node("Relu", graph.convolve("pixels", 3, 64, 7, 2))
    value = graph.node("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    before = 64
    for place, (blocks, width) in enumerate(STAGES):
        for number in range(blocks):
            value = graph.block(value, before, width, 2 if place and not number else 1)
            before = EXPANSION * width
    value = graph.node("Flatten", graph.node("GlobalAveragePool", value))
    value = graph.node("Gemm", value, graph.weight(CLASSES, before), graph.weight(CLASSES), transB=1)
    graph.nodes.append(helper.make_node("Identity", [value], ["logits"]))
    onnx.save(
        helper.make_model(
            helper.make_graph(
                graph.nodes,
                "residual",
                [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 3, SIDE, SIDE])],
                [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", CLASSES])],
                graph.weights,
            ),
            opset_imports=[helper.make_opsetid("", 20)],
            ir_version=10,
        ),
        path,
    )
