"""Small edits of ONNX graphs: rename values, drop outputs, flatten them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
from onnx import helper

from onnxlet.toolchain.workbench.shapes import declare_shape


def free_name(graph: onnx.GraphProto, name: str) -> str:
    """`name`, lengthened by underscores until no value of the graph has it."""
    taken = {value for node in graph.node for value in (*node.input, *node.output, *_names_read_within(node))}
    taken |= {value.name for value in (*graph.input, *graph.initializer)}
    while name in taken:
        name += "_"
    return name


def output_name(graph: onnx.GraphProto, name: str) -> str:
    """`name`, lengthened by underscores until no input has it; any other value that has it can be renamed."""
    inputs = {value.name for value in graph.input}
    while name in inputs:
        name += "_"
    return name


def rename_value(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give the value `old` the name `new`; a value that has it already gets another."""
    if old == new:
        return
    free = free_name(graph, new)
    if free != new:
        rename_value(graph, new, free)
    for node in graph.node:
        rename_inputs(node, {old: new})
        node.output[:] = [new if value == old else value for value in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        if value.name == old:
            value.name = new


def keep_outputs(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Drop every other output, and the nodes and weights that only those needed."""
    wanted = set(names)
    outputs = [value for value in graph.output if value.name in wanted]
    del graph.output[:]
    graph.output.extend(outputs)
    nodes = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            nodes.append(node)
            wanted.update(node.input)
            wanted.update(_names_read_within(node))
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    weights = [weight for weight in graph.initializer if weight.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def flatten_output(graph: onnx.GraphProto, name: str) -> None:
    """Make the output `name` one-dimensional, and really double if it is declared so: trees give single numbers."""
    column, shape = free_name(graph, f"{name}_column"), free_name(graph, f"{name}_shape")
    rename_value(graph, name, column)
    graph.initializer.append(helper.make_tensor(shape, onnx.TensorProto.INT64, [1], [-1]))
    (output,) = (value for value in graph.output if value.name == column)
    if output.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE:
        doubled = free_name(graph, f"{name}_double")
        graph.node.append(helper.make_node("Cast", [column], [doubled], name=doubled, to=onnx.TensorProto.DOUBLE))
        column = doubled
    graph.node.append(helper.make_node("Reshape", [column, shape], [name], name=f"{name}_reshape"))
    output.name = name
    declare_shape(output, [-1])


def keep_last_column(graph: onnx.GraphProto, name: str) -> None:
    """Make the output `name` [N, columns] its last column [N, 1]."""
    columns, last = free_name(graph, f"{name}_columns"), free_name(graph, f"{name}_last")
    rename_value(graph, name, columns)
    graph.initializer.append(helper.make_tensor(last, onnx.TensorProto.INT64, [1], [-1]))
    graph.node.append(helper.make_node("Gather", [columns, last], [name], name=f"{name}_gather", axis=1))
    (output,) = (value for value in graph.output if value.name == columns)
    output.name = name
    declare_shape(output, [-1, 1])


def opsets(model: onnx.ModelProto) -> dict[str, int]:
    """The operator sets that the model imports, by domain; the default one is `ai.onnx`."""
    return {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}


def texts_of(graph: bytes) -> frozenset[str]:
    """The texts that a serialized model holds outside of its subgraphs: categories, vocabularies, class names."""
    model = onnx.ModelProto.FromString(graph)
    held = [text for tensor in model.graph.initializer for text in tensor.string_data]
    for node in model.graph.node:
        for attribute in node.attribute:
            held += [attribute.s, *attribute.strings, *attribute.t.string_data]
    return frozenset(text.decode(errors="replace") for text in held)


def rename_inputs(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename what the node, and the graphs within it, read: `names` are new names by old ones."""
    node.input[:] = [names.get(name, name) for name in node.input]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                rename_inputs(inner, names)
            for value in graph.output:
                value.name = names.get(value.name, value.name)


def _names_read_within(node: onnx.NodeProto) -> set[str]:
    """Names of the outer graph that a node's own subgraphs may read."""
    names: set[str] = set()
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names.update(value.name for value in graph.output)
            for inner in graph.node:
                names.update(inner.input)
                names |= _names_read_within(inner)
    return names
