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
        *("Abs", "Add", "Binarizer", "Cast", "Ceil", "Clip", "Div", "Equal", "Exp", "Flatten", "Floor", "Greater"),
        *("GreaterOrEqual", "Identity", "Imputer", "IsInf", "IsNaN", "LabelEncoder", "Less", "LessOrEqual", "Log"),
        *("Max", "Min", "Mul", "Neg", "Not", "Pow", "Relu", "Reshape", "Round", "Scaler", "Sigmoid", "Sqrt"),
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
        for output in filter(None, node.output):
            made = _made(node, given, owned, constants, _width(values.get(output)))
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


def _made(
    node: onnx.NodeProto, given: list[str], owned: Mapping[str, Owned], constants: Tensors, width: int
) -> Owned | None:
    """The owners of an output of `width` columns; None if one of its columns stems from several."""
    inputs = [owned[name] for name in given]
    names = {name for each in inputs for name in each}
    if len(names) == 1 and width > 0:
        return tuple(names) * width
    if node.op_type in ("Concat", "FeatureVectorizer") and len(given) == len(node.input):
        joined = tuple(name for each in inputs for name in each)
        return joined if len(joined) == width else None
    if node.op_type in ("Gather", "ArrayFeatureExtractor") and len(given) == 1 and given[0] == node.input[0]:
        places = constants[node.input[1]].astype(np.int64).ravel()
        axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
        chosen = node.op_type != "Gather" or axis in (1, -1)
        return tuple(inputs[0][place] for place in places) if chosen and len(places) == width else None
    if node.op_type in _ELEMENTWISE and inputs and all(each == inputs[0] for each in inputs):
        return inputs[0] if len(inputs[0]) == width else None
    return None


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
