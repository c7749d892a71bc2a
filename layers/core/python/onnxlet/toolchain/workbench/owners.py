"""Owners: which of the columns that users know each column of a tensor stems from, as far as a graph tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnxlet.steps import Steps
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

Owned = tuple[str, ...]
"""The owner of each column of a tensor [N, columns]; of more dimensions, as if it were reshaped to that."""

_ELEMENTWISE = frozenset(
    {
        *(
            "Abs",
            "Add",
            "And",
            "Binarizer",
            "Cast",
            "Ceil",
            "Clip",
            "Div",
            "Equal",
            "Exp",
            "Flatten",
            "Floor",
            "Greater",
        ),
        *("GreaterOrEqual", "Identity", "Imputer", "IsInf", "IsNaN", "LabelEncoder", "Less", "LessOrEqual", "Log"),
        *("Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Relu", "Reshape", "Round", "Scaler", "Sigmoid", "Sqrt"),
        *("Squeeze", "Sub", "Tanh", "Unsqueeze", "Where"),
    }
)
"""Operations that leave each value in its column, whatever they make of it."""
_MATRIX = 2


def trace_owners(model: onnx.ModelProto, owners: Mapping[str, Owned], values: Tensors) -> dict[str, Owned]:
    """The owners of the tensors of a graph whose columns stem from one column each; the others are left out.

    `owners` are those of the graph's inputs. `values` are what its tensors hold for some rows: their widths are known
    from that.
    """
    constants = constants_of(model)
    owned = dict(owners)
    for node in model.graph.node:
        given = [name for name in node.input if name and name not in constants]
        if not given or any(name not in owned for name in given):
            continue
        for number, output in enumerate(node.output):
            made = _made(node, number, given, owned, constants, values) if output else None
            if made is not None:
                owned[output] = made
    return owned


def input_owners(steps: Steps, graph: Signature) -> dict[str, Owned]:
    """The owners of a graph's inputs: the columns of the row signature, or their own elements where it has none."""
    known = [column.name for column in steps.columns or ()]
    return {spec.name: owned for spec in graph.inputs if (owned := _input_owners(spec, steps, known)) is not None}


def _input_owners(spec: TensorSpec, steps: Steps, known: list[str]) -> Owned | None:
    sent: tuple[TensorSpec, ...] = (spec,)
    for step in reversed(steps.through(steps.row_signature)):
        if step.named_columns() is None:
            sent = step.inputs(sent)
    if len(sent) != 1:
        return None
    [raw] = sent
    width = 1 if len(raw.shape) == 1 else raw.shape[-1] if len(raw.shape) == _MATRIX else -1
    if raw.name in known:
        return (raw.name,) * max(1, spec.shape[-1] if len(spec.shape) == _MATRIX else 1)
    if known:
        return tuple(known) if width == len(known) else None
    if width < 0:
        return None
    return (raw.name,) if len(raw.shape) == 1 else tuple(f"{raw.name}[{column}]" for column in range(width))


def _made(  # noqa: PLR0917 - what is known of one node
    node: onnx.NodeProto,
    number: int,
    given: list[str],
    owned: Mapping[str, Owned],
    constants: Tensors,
    values: Tensors,
) -> Owned | None:
    """The owners of an output by its number; None if one of its columns stems from several."""
    inputs = [owned[name] for name in given]
    names = {name for each in inputs for name in each}
    output = node.output[number]
    width = _width(values.get(output))
    if len(names) == 1 and width > 0:
        return tuple(names) * width
    if node.op_type in ("Concat", "FeatureVectorizer") and len(given) == len(node.input):
        joined = tuple(name for each in inputs for name in each)
        return joined if len(joined) == width else None
    if node.op_type == "Split" and len(given) == 1 and _axis(node) in (1, -1) and width:
        before = sum(_width(values.get(name)) for name in node.output[:number])
        return inputs[0][before : before + width]
    if node.op_type in ("Gather", "ArrayFeatureExtractor") and len(given) == 1 and given[0] == node.input[0]:
        places = constants[node.input[1]].astype(np.int64).ravel()
        chosen = node.op_type != "Gather" or _axis(node) in (1, -1)
        return tuple(inputs[0][place] for place in places) if chosen and len(places) == width else None
    if node.op_type == "Gather" and given == [node.input[1]] and _axis(node) == 0:
        # what a table has for each index
        times = width // max(1, len(inputs[0]))
        return tuple(name for name in inputs[0] for _ in range(times)) if times * len(inputs[0]) == width else None
    return _broadcast(given, inputs, output, values) if node.op_type in _ELEMENTWISE else None


def _broadcast(given: list[str], inputs: list[Owned], output: str, values: Tensors) -> Owned | None:
    """The owners of what stays in its column; None where columns of several meet, or it is not known what meets."""
    width = _width(values.get(output))
    if all(each == inputs[0] for each in inputs) and len(inputs[0]) == width:
        return inputs[0]
    if output not in values or any(name not in values for name in given):
        return None
    shape = values[output].shape[1:]
    met = []
    for name, owners in zip(given, inputs, strict=True):
        own = values[name].shape[1:]
        if len(own) != len(shape) or len(owners) != _width(values[name]):
            return None
        met.append(np.broadcast_to(np.array(owners, dtype=object).reshape(own), shape).ravel().tolist())
    return tuple(met[0]) if all(each == met[0] for each in met) else None


def _axis(node: onnx.NodeProto) -> int:
    return next((each.i for each in node.attribute if each.name == "axis"), 0)


def constants_of(model: onnx.ModelProto) -> Tensors:
    """The tensors that a graph holds itself."""
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            constants[node.output[0]] = (
                numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.array(value)
            )
    return constants


def _width(values: Tensor | None) -> int:
    """How many columns a tensor [N, …] has."""
    return 0 if values is None or not values.ndim or not len(values) else values.size // len(values)


def cut(model: onnx.ModelProto, outputs: Iterable[str]) -> onnx.ModelProto:
    """The part of a graph that makes these tensors."""
    wanted = list(outputs)
    needed = set(wanted)
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.insert(0, node)
            needed.update(node.input)
    graph = helper.make_graph(
        kept,
        model.graph.name,
        [each for each in model.graph.input if each.name in needed],
        [onnx.ValueInfoProto(name=name) for name in wanted],
        [each for each in model.graph.initializer if each.name in needed],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
