"""What a graph has to gain: a survey of its weights by kind of node, and the graph simplified for quantizers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, numpy_helper

from onnxlet.errors import RejectedModelError
from onnxlet.serving.engine import FOREIGN
from onnxlet.values.tensors import Tensor

import onnxruntime  # isort: skip - after the engine, which silences its telemetry

PRODUCTS = ("MatMul", "Gemm")
CONVOLUTIONS = ("Conv", "ConvTranspose")
RECURRENT = ("LSTM",)
SMALLEST_TABLE = 2**14
"""Tables of fewer numbers are not worth further nodes."""
LINEAR = ("LinearClassifier", "LinearRegressor", "SVMClassifier", "SVMRegressor")


@dataclass(frozen=True)
class Survey:
    """The names of nodes with constant float32 weights, by kind, in the graph's order."""

    products: tuple[str, ...]
    convolutions: tuple[str, ...]
    recurrent: tuple[str, ...]
    embeddings: tuple[str, ...]
    operators: frozenset[str]

    @property
    def weighted(self) -> tuple[str, ...]:
        """The nodes of all kinds."""
        return (*self.embeddings, *self.convolutions, *self.recurrent, *self.products)

    def reason_to_stay_exact(self) -> str:
        """Why this graph has nothing to gain; empty if it may have."""
        if any(operator.startswith("TreeEnsemble") for operator in self.operators):
            return (
                "tree ensembles compare, they do not multiply: the graph has no weights to gain from, and stays exact"
            )
        if self.operators.intersection(LINEAR):
            return "linear and kernel models have no matrix product with float32 weights to quantize, and stay exact"
        if not self.weighted:
            return "the graph has no matrix product with float32 weights to quantize"
        if len(self.weighted) == 1 and self.products:
            return "a linear model has one matrix product, whose precision is the model's own: it stays exact"
        return ""


def survey(model: onnx.ModelProto) -> Survey:
    """Survey a model, whose nodes must have names."""
    weights = {
        weight.name: tuple(weight.dims)
        for weight in model.graph.initializer
        if weight.data_type == TensorProto.FLOAT and len(weight.dims) > 1
    }

    def nodes_with_weight(operators: tuple[str, ...], position: int) -> tuple[str, ...]:
        return tuple(
            node.name
            for node in model.graph.node
            if node.op_type in operators and len(node.input) > position and node.input[position] in weights
        )

    large = {name for name, shape in weights.items() if prod(shape) >= SMALLEST_TABLE and len(shape) == 2}  # noqa: PLR2004
    tables = {node.name for node in model.graph.node if node.op_type == "Gather" and node.input[0] in large}
    return Survey(
        products=nodes_with_weight(PRODUCTS, 1),
        convolutions=nodes_with_weight(CONVOLUTIONS, 1),
        recurrent=nodes_with_weight(RECURRENT, 1),
        embeddings=tuple(name for name in nodes_with_weight(("Gather",), 0) if name in tables),
        operators=frozenset(node.op_type for node in model.graph.node),
    )


def simplify(source: Path, destination: Path) -> onnx.ModelProto:
    """Fold constants and merge normalizations, as quantizers want it, and give every node a name.

    The result is saved at `destination`, runs on any processor, and is returned. Raises RejectedModelError.
    """
    levels = onnxruntime.GraphOptimizationLevel
    _open_session(source, levels.ORT_ENABLE_BASIC, saved=destination)
    model = name_nodes(onnx.load(destination))
    _declare_types(model, destination)
    onnx.save_model(model, destination)
    return model


def _declare_types(model: onnx.ModelProto, path: Path) -> None:
    """Declare the type of every value: onnx's own inference stops at the first unknown operator."""
    probe = onnx.load(path)
    declared = {value.name for value in (*probe.graph.output, *probe.graph.input)}
    names = [name for node in probe.graph.node for name in node.output if name and name not in declared]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    onnx.save_model(probe, path)
    outputs = _open_session(path, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL).get_outputs()
    del model.graph.value_info[:]
    for value in outputs:
        kind = _ELEMENTS.get(value.type)
        if kind is not None and value.name not in declared:
            # no dimensions may mean that nobody knows them
            shape = value.shape or None
            model.graph.value_info.append(onnx.helper.make_tensor_value_info(value.name, kind, shape))


def _open_session(path: Path, level: Any, *, saved: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = level
    if saved is not None:
        options.optimized_model_filepath = str(saved)
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except FOREIGN as error:
        raise RejectedModelError(f"ONNX Runtime does not read this graph: {error}") from error


_ELEMENTS = {
    f"tensor({name})": kind
    for name, kind in {
        "float": TensorProto.FLOAT,
        "double": TensorProto.DOUBLE,
        "int8": TensorProto.INT8,
        "uint8": TensorProto.UINT8,
        "int32": TensorProto.INT32,
        "int64": TensorProto.INT64,
        "float16": TensorProto.FLOAT16,
        "bool": TensorProto.BOOL,
        "string": TensorProto.STRING,
    }.items()
}


def name_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every node of the model a name, by which quantizers are told what to leave out."""
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


class Weights:
    """A graph's initializers by name, to read, add and drop."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def floats(self, name: str) -> Tensor | None:
        """The values of a float32 initializer; None for another, and for what is none."""
        tensor = self._tensors.get(name)
        return None if tensor is None or tensor.data_type != TensorProto.FLOAT else numpy_helper.to_array(tensor)

    def add(self, name: str, values: Tensor) -> str:
        """Add values under `name`, unless there is such a weight already; returns the name."""
        if name not in self._tensors:
            self._graph.initializer.append(numpy_helper.from_array(values, name))
            self._tensors[name] = self._graph.initializer[-1]
        return name

    def drop_unused(self) -> None:
        """Drop weights that no node, and no graph within a node, reads."""
        read = set(_values_read(self._graph)) | {value.name for value in self._graph.output}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)


def _values_read(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from (value.name for value in inner.output)
                yield from _values_read(inner)


def import_domain(model: onnx.ModelProto, domain: str) -> None:
    """Import an operator set that the model may not import yet."""
    if domain not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
