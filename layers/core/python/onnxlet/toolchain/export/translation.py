"""Translation of a graph to TensorFlow: its nodes one after the other, each by its operator's translation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper

from onnxlet.errors import ConversionError
from onnxlet.toolchain.export.operators import OPERATORS, NodeCall
from onnxlet.toolchain.workbench.error_text import one_line
from onnxlet.values.tensors import Tensor

STORED = 1024
"""Constants of at least so many bytes become variables, as a graph itself may not exceed 2 GB."""


class Translation:
    """An ONNX graph as a function of TensorFlow's tensors; `weights` are the variables that it needs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._opset = next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 1)
        self._constants = {weight.name: _to_array(weight) for weight in model.graph.initializer}
        self._variables: dict[str, tf.Variable] = {}
        self.weights: list[tf.Variable] = []
        _check_operators(model.graph)

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The graph's outputs. Raises ConversionError for a node that TensorFlow cannot compute."""
        outputs = self._run(self._graph, {**self._constants, **inputs, "": None})
        return {spec.name: tf.convert_to_tensor(value) for spec, value in zip(self._graph.output, outputs, strict=True)}

    def _run(self, graph: onnx.GraphProto, values: dict[str, Any]) -> list[Any]:
        """The outputs of a graph, which adds its values to those it is given."""

        def run_subgraph(inner: onnx.GraphProto, inputs: dict[str, Any]) -> list[Any]:
            own = {weight.name: _to_array(weight) for weight in inner.initializer}
            return [tf.convert_to_tensor(value) for value in self._run(inner, {**values, **own, **inputs})]

        for node in graph.node:
            call = NodeCall(
                node, [values.get(name) for name in node.input], self._opset, self._store_constant, run_subgraph
            )
            values.update(zip(node.output, self._compute(call), strict=False))
        return [values[output.name] for output in graph.output]

    def _compute(self, call: NodeCall) -> Sequence[Any]:
        """The node's outputs; constants if it depends on nothing else."""
        operator = OPERATORS[_domain(call.node), call.node.op_type]
        known = all(value is None or isinstance(value, np.ndarray) for value in call.inputs)
        try:
            if not known or any(attribute.HasField("g") for attribute in call.node.attribute):
                return _as_sequence(operator(call))
            with tf.init_scope():
                plain = replace(call, stored=lambda _, value: value)
                return [None if value is None else np.asarray(value) for value in _as_sequence(operator(plain))]
        except (ValueError, TypeError, KeyError, IndexError, tf.errors.OpError) as error:
            raise call.refuse(f"is not computed by TensorFlow as it stands: {one_line(error)}") from error

    def _store_constant(self, name: str, value: Tensor) -> Any:
        if value.nbytes < STORED or value.dtype.kind in "OSU":
            return value
        if name not in self._variables:
            with tf.init_scope():
                self._variables[name] = tf.Variable(value, trainable=False)
            self.weights.append(self._variables[name])
        return tf.convert_to_tensor(self._variables[name])


_SIMPLER = (
    "convert the model with simpler layers, or, if it was optimized, publish what `onnxlet convert` wrote and export "
    "that version"
)
_OTHERWISE = "serve the version with onnxlet, or train another kind of estimator, a linear model or trees say"


def _check_operators(graph: onnx.GraphProto) -> None:
    """Raise ConversionError with all operators that have no translation."""
    unknown = {(_domain(node), node.op_type) for node in _nodes(graph)} - OPERATORS.keys()
    if unknown:
        operators = ", ".join(sorted(f"'{domain}.{name}'" if domain else f"{name!r}" for domain, name in unknown))
        raise ConversionError(
            f"the graph uses {operators}, which onnxlet does not translate to TensorFlow: "
            + (_OTHERWISE if any(domain == "ai.onnx.ml" for domain, _ in unknown) else _SIMPLER),
            operators=sorted(name for _, name in unknown),
        )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain == "ai.onnx" else node.domain


def _as_sequence(result: Any) -> Sequence[Any]:
    return result if isinstance(result, tuple | list) else (result,)


def _to_array(weight: onnx.TensorProto) -> Tensor:
    array = numpy_helper.to_array(weight)
    return array.astype(object) if array.dtype.kind in "SU" else array
