"""Nodes: what converters of skl2onnx add to its graph, nodes and constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

Converter = Callable[[Any, Any, Any], None]
"""What skl2onnx calls with a scope of names, an operator and the container of the nodes to write."""


class Nodes:
    """Adds nodes and constants to the graph that skl2onnx writes, under unique names."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def constant(self, datatype: int, shape: list[int], values: Any) -> str:
        """The name of a new constant."""
        name: str = self._scope.get_unique_variable_name("constant")
        self._container.add_initializer(name, datatype, shape, np.ravel(values).tolist())
        return name

    def doubles(self, values: Any) -> str:
        """The name of a new constant of doubles, of the values' own shape."""
        return self.constant(TensorProto.DOUBLE, list(np.shape(values)), np.asarray(values, dtype=np.float64))

    def labels(self, classes: Any) -> str:
        """The name of a new constant that holds the values of classes: texts, or whole numbers."""
        if isinstance(classes[0], str):
            return self.constant(TensorProto.STRING, [len(classes)], [value.encode() for value in classes])
        return self.constant(TensorProto.INT64, [len(classes)], [int(value) for value in classes])

    def rows(self, operator: Any) -> str:
        """All inputs of an operator side by side [N, columns], as doubles."""
        columns = [self.add("Cast", each.full_name, to=TensorProto.DOUBLE) for each in operator.inputs]
        return columns[0] if len(columns) == 1 else self.add("Concat", *columns, axis=1)

    def write_rows(self, values: str, variable: Any) -> None:
        """Let these doubles be an operator's output; ONNX Runtime refuses rows with one too large for its datatype."""
        from skl2onnx.common.data_types import guess_proto_type

        datatype = guess_proto_type(variable.type)
        if datatype != TensorProto.DOUBLE:
            largest = self.doubles([float(np.finfo(np.float32).max)])
            kept = self.add("LessOrEqual", self.add("Abs", values), largest)
            given = self.add("Or", self.add("IsNaN", values), self.add("IsInf", values))
            values = self.refuse_unless(self.add("Or", kept, given), values)
        self.add("Cast", values, to=datatype, output=variable.full_name)

    def add(self, operator_type: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """The name of a new node's output."""
        output = output or self._scope.get_unique_variable_name(operator_type.lower())
        self._add(operator_type, inputs, [output], attributes)
        return output

    def add_both(self, operator_type: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """The names of both outputs of a new node."""
        first, second = (self._scope.get_unique_variable_name(operator_type.lower()) for _ in range(2))
        self._add(operator_type, inputs, [first, second], attributes)
        return first, second

    def refuse_unless(self, allowed: str, values: str) -> str:
        """The doubles `values`; ONNX Runtime refuses rows with one that is not `allowed`, of the same shape."""
        # 0, which the table has, for those that are allowed; others look behind its end
        index = self.add("Cast", self.add("Not", allowed), to=TensorProto.INT64)
        return self.add("Add", values, self.add("Gather", self.constant(TensorProto.DOUBLE, [1], [0.0]), index))

    def _add(self, operator_type: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]) -> None:
        name = self._scope.get_unique_operator_name(operator_type)
        self._container.add_node(operator_type, list(inputs), outputs, name=name, **attributes)


def move_graph(graph: Any, container: Any) -> None:
    """Put the nodes and weights into skl2onnx's graph, as they are."""
    container.initializers.extend(graph.initializer)
    container.nodes.extend(graph.node)
    container.node_domain_version_pair_sets |= {
        (domain, container.target_opset_any_domain(domain)) for domain in {node.domain for node in graph.node}
    }
