"""What follows the trees: numbers that are added and multiplied go into the ensemble, up to the link."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import numpy_helper

from onnxlet.explain.trees.ensemble import Ensemble
from onnxlet.values.tensors import Tensor

_PASSING = ("Cast", "Identity", "Reshape", "Squeeze", "Flatten")


def fold_following(graph: onnx.GraphProto, node: onnx.NodeProto, ensemble: Ensemble) -> Ensemble:
    """The ensemble with what the nodes behind it add to its outputs, and multiply them by."""
    weights = {weight.name: weight for weight in graph.initializer}
    outputs = {output.name for output in graph.output}
    name = node.output[-1]
    # a value that is used twice, or served, is what the link sees
    while name not in outputs:
        users = [each for each in graph.node if name in each.input]
        if len(users) != 1:
            break
        [user] = users
        if user.op_type not in _PASSING:
            number = _constant_beside(user, name, weights)
            if number is None or not _fits(number, ensemble.base):
                break
            folded = _apply(user, name, number.reshape(-1).astype(np.float64), ensemble)
            if folded is None:
                break
            ensemble = folded
        elif user.op_type != "Identity" and user.input[0] != name:
            break
        name = user.output[0]
    return ensemble


def _constant_beside(node: onnx.NodeProto, name: str, weights: dict[str, onnx.TensorProto]) -> Tensor | None:
    others = [each for each in node.input if each != name]
    if len(node.input) != 2 or len(others) != 1 or others[0] not in weights:  # noqa: PLR2004 - of an operation with two
        return None
    return numpy_helper.to_array(weights[others[0]])


def _fits(number: Tensor, base: Tensor) -> bool:
    """Whether it is one number, or one for each output in the last dimension."""
    return number.size == 1 or (number.size == len(base) and number.shape[-1] == len(base))


def _apply(node: onnx.NodeProto, name: str, number: Tensor, ensemble: Ensemble) -> Ensemble | None:
    """None for anything but a sum, or a product that keeps the sign: what turns it around belongs to the link."""
    first = node.input[0] == name
    match node.op_type:
        case "Add":
            return replace(ensemble, base=ensemble.base + number)
        case "Sub" if first:
            return replace(ensemble, base=ensemble.base - number)
        case "Mul" if (number > 0).all():
            return _scaled(ensemble, number)
        case "Div" if first and (number > 0).all():
            return _scaled(ensemble, 1 / number)
    return None


def _scaled(ensemble: Ensemble, number: Tensor) -> Ensemble | None:
    """None where trees of one output each would have to be scaled apart."""
    width = ensemble.leaves.shape[1]
    if len(number) > 1 and width < len(ensemble.base):
        return None
    return replace(ensemble, base=ensemble.base * number, leaves=ensemble.leaves * number)
