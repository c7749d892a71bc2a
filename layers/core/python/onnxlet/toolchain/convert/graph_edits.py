"""Small edits of ONNX graphs: names, outputs and their shapes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import onnx
from onnx import helper

from onnxlet.toolchain.workbench.shapes import declare_shape


def free_name(graph: onnx.GraphProto, name: str) -> str:
    """`name`, lengthened until nothing in the graph has it."""
    taken = {value for node in graph.node for value in (*node.input, *node.output, *_captured(node))}
    taken |= {value.name for value in (*graph.input, *graph.initializer)}
    while name in taken:
        name += "_"
    return name


def output_name(graph: onnx.GraphProto, name: str) -> str:
    """`name`, lengthened until no input has it; what else has it can be renamed."""
    inputs = {value.name for value in graph.input}
    while name in inputs:
        name += "_"
    return name


def rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give the value `old` the name `new`; a value that has it already gets another."""
    if old == new:
        return
    free = free_name(graph, new)
    if free != new:
        rename(graph, new, free)
    for node in graph.node:
        _redirect(node, {old: new})
        node.output[:] = [new if value == old else value for value in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        if value.name == old:
            value.name = new


def keep_outputs(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Drop every other output, and the nodes and weights that only they needed."""
    wanted = set(names)
    outputs = [value for value in graph.output if value.name in wanted]
    del graph.output[:]
    graph.output.extend(outputs)
    nodes = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            nodes.append(node)
            wanted.update(node.input)
            wanted.update(_captured(node))
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    weights = [weight for weight in graph.initializer if weight.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def flatten_output(graph: onnx.GraphProto, name: str) -> None:
    """Make the output `name` one-dimensional, and really double if it is declared so: trees give single numbers."""
    column, shape = free_name(graph, f"{name}_column"), free_name(graph, f"{name}_shape")
    rename(graph, name, column)
    graph.initializer.append(helper.make_tensor(shape, onnx.TensorProto.INT64, [1], [-1]))
    (output,) = (value for value in graph.output if value.name == column)
    if output.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE:
        doubled = free_name(graph, f"{name}_double")
        graph.node.append(helper.make_node("Cast", [column], [doubled], name=doubled, to=onnx.TensorProto.DOUBLE))
        column = doubled
    graph.node.append(helper.make_node("Reshape", [column, shape], [name], name=f"{name}_reshape"))
    output.name = name
    declare_shape(output, [-1])


class Joining:
    """Models with the same inputs, and outputs of different names, as one model; what they share is in it once."""

    def __init__(self, models: Sequence[onnx.ModelProto]) -> None:
        self._served = {value.name for model in models for value in (*model.graph.input, *model.graph.output)}
        self._known: dict[bytes, list[str]] = {}
        self._whole = onnx.ModelProto()
        self._whole.CopyFrom(models[0])
        for parts in (self._whole.graph.node, self._whole.graph.initializer, self._whole.graph.output):
            del parts[:]
        del self._whole.graph.value_info[:]
        for index, model in enumerate(models):
            self._add(model, f"_{index}")

    def model(self) -> onnx.ModelProto:
        """The one model."""
        return self._whole

    def _add(self, model: onnx.ModelProto, suffix: str) -> None:
        whole, names = self._whole.graph, dict[str, str]()
        for weight in model.graph.initializer:
            bare = onnx.TensorProto()
            bare.CopyFrom(weight)
            bare.ClearField("name")
            (name,), new = self._shared(bare, [weight.name], suffix)
            names[weight.name] = bare.name = name
            if new:
                whole.initializer.append(bare)
        for node in model.graph.node:
            bare_node = onnx.NodeProto()
            bare_node.CopyFrom(node)
            _redirect(bare_node, names)
            for field in ("name", "output"):
                bare_node.ClearField(field)
            outputs, new = self._shared(bare_node, list(node.output), suffix)
            names.update(zip(node.output, outputs, strict=True))
            if new:
                bare_node.name = f"{node.name}{suffix}"
                bare_node.output.extend(outputs)
                whole.node.append(bare_node)
        whole.output.extend(model.graph.output)
        known = {entry.domain for entry in self._whole.opset_import}
        self._whole.opset_import.extend(entry for entry in model.opset_import if entry.domain not in known)

    def _shared(self, bare: onnx.TensorProto | onnx.NodeProto, names: list[str], suffix: str) -> tuple[list[str], bool]:
        """What something without a name is called, and whether that is new."""
        if not self._served.isdisjoint(names):
            return [name if name in self._served else self._free(name, suffix) for name in names], True
        key = hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()
        if key in self._known:
            return self._known[key], False
        self._known[key] = [self._free(name, suffix) for name in names]
        return self._known[key], True

    def _free(self, name: str, suffix: str) -> str:
        """The name with a suffix that no other model's names have; none stays none."""
        name = f"{name}{suffix}" if name else name
        while name in self._served:
            name += "_"
        return name


def opsets(model: onnx.ModelProto) -> dict[str, int]:
    """The operator sets that the model imports, by domain; the default one is `ai.onnx`."""
    return {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}


def _redirect(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Let the node, and the graphs within it, read values by their new names."""
    node.input[:] = [names.get(name, name) for name in node.input]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                _redirect(inner, names)
            for value in graph.output:
                value.name = names.get(value.name, value.name)


def _captured(node: onnx.NodeProto) -> set[str]:
    """Names of the outer graph that a node's own subgraphs may read."""
    names: set[str] = set()
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names.update(value.name for value in graph.output)
            for inner in graph.node:
                names.update(inner.input)
                names |= _captured(inner)
    return names
