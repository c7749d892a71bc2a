"""Linear operations of a graph: what they read, and what they multiply it with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper

from onnxlet.toolchain.workbench.owners import constants_of
from onnxlet.values.tensors import Tensor, Tensors

_MATRIX = 2


class Operation(NamedTuple):
    """Scores [N, scores] = `input` [N, columns] · coefficients + intercepts."""

    input: str
    coefficients: Tensor
    intercepts: Tensor


def linear_operations(model: onnx.ModelProto) -> Iterator[Operation]:
    """Those of a graph, in its order."""
    constants = constants_of(model)
    for node in model.graph.node:
        if node.op_type in ("LinearClassifier", "LinearRegressor"):
            yield _of_attributes(node)
        elif node.op_type in ("MatMul", "Gemm") and node.input[0] not in constants and node.input[1] in constants:
            operation = _of_matrix(node, model, constants)
            if operation is not None:
                yield operation


def _of_attributes(node: onnx.NodeProto) -> Operation:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    coefficients = np.array(attributes["coefficients"], dtype=np.float64)
    intercepts = np.array(attributes.get("intercepts", ()), dtype=np.float64)
    scores = max(1, len(intercepts), int(attributes.get("targets", 1)))
    if not len(intercepts):
        intercepts = np.zeros(scores)
    return Operation(node.input[0], coefficients.reshape(scores, -1).T, intercepts)


def _of_matrix(node: onnx.NodeProto, model: onnx.ModelProto, constants: Tensors) -> Operation | None:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    matrix = constants[node.input[1]]
    matrix = matrix.reshape(-1, 1) if matrix.ndim == 1 else matrix
    if matrix.ndim != _MATRIX or attributes.get("transA"):
        return None
    matrix = (matrix.T if attributes.get("transB") else matrix).astype(np.float64) * attributes.get("alpha", 1.0)
    added = np.zeros(matrix.shape[1])
    if node.op_type == "Gemm" and len(node.input) > _MATRIX and node.input[_MATRIX]:
        bias = constants.get(node.input[_MATRIX])
        if bias is None:
            return None
        added = bias * attributes.get("beta", 1.0)
    elif node.op_type == "MatMul":
        added = _added_behind(node.output[0], model, constants, added)
    if added.size not in (1, matrix.shape[1]):
        return None
    return Operation(node.input[0], matrix, np.broadcast_to(added.astype(np.float64).ravel(), matrix.shape[1]))


def _added_behind(product: str, model: onnx.ModelProto, constants: Tensors, nothing: Tensor) -> Tensor:
    """What the operation behind a product adds to it."""
    for node in model.graph.node:
        if node.op_type == "Add" and product in node.input:
            others = [name for name in node.input if name != product and name in constants]
            return constants[others[0]] if others else nothing
    return nothing
