"""A writer of ONNX graphs, node by node, for models whose frameworks have no exporter that will do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.values.tensors import Tensor

OPSET = {"": 21, "ai.onnx.ml": 5}
IR_VERSION = 10
ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT64": TensorProto.INT64,
    "BYTES": TensorProto.STRING,
}


class GraphWriter:
    """A graph that grows: `add` appends a node and returns its output, `constant` a weight and returns its name."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, datatype: str, shape: Sequence[int]) -> str:
        """Declare a graph input; -1 is a dimension of any size."""
        self._inputs.append(_value(name, datatype, shape))
        return name

    def output(self, value: str, name: str, datatype: str, shape: Sequence[int]) -> None:
        """Declare the graph output `name`: the value, cast to `datatype`."""
        if datatype in ("FP32", "FP64"):
            node = helper.make_node("Cast", [value], [name], to=ELEMENTS[datatype])
        else:
            node = helper.make_node("Identity", [value], [name])
        self._nodes.append(node)
        self._outputs.append(_value(name, datatype, shape))

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output."""
        output = f"{self._prefix}{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def constant(self, value: Tensor | Sequence[float]) -> str:
        """Append a weight; plain numbers become float64."""
        array = value if isinstance(value, np.ndarray) else np.array(value, dtype=np.float64)
        name = f"{self._prefix}weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def to_double(self, value: str) -> str:
        """The value in double precision."""
        return self.add("Cast", value, to=TensorProto.DOUBLE)

    def to_float(self, value: str) -> str:
        """The value in single precision."""
        return self.add("Cast", value, to=TensorProto.FLOAT)

    def to_int64(self, value: str) -> str:
        """The value as int64."""
        return self.add("Cast", value, to=TensorProto.INT64)

    def subgraph(self, name: str) -> GraphWriter:
        """A writer for the body of a node such as Loop, which may read this graph's values."""
        return GraphWriter(f"{self._prefix}{name}_")

    def graph(self) -> onnx.GraphProto:
        """The finished graph."""
        name = self._prefix.rstrip("_") or "onnxlet"
        return helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._weights)

    def model(self) -> onnx.ModelProto:
        """The finished graph as a model, which imports the operator sets that it uses."""
        graph = self.graph()
        used = {node.domain for node in graph.node}
        imports = [helper.make_opsetid(domain, version) for domain, version in OPSET.items() if domain in used]
        return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="onnxlet")


def _value(name: str, datatype: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, ELEMENTS[datatype], [None if size < 0 else size for size in shape])
