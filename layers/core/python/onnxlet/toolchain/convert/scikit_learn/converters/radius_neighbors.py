"""Neighbours within a radius, in double precision: skl2onnx 1.20 fails on rows that have fewer of them than others."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor


def declare_classifier(operator: Any) -> None:
    """Declare a classifier's outputs."""
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    calculate_linear_classifier_output_shapes(operator)


def declare_regressor(operator: Any) -> None:
    """Declare a column for each target."""
    from skl2onnx.common.data_types import guess_tensor_type

    kind = type(guess_tensor_type(operator.inputs[0].type))
    width = _columns_of(operator.raw_operator).shape[1]
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), width])


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Write the shares of classes among the neighbours; rows that have none are outliers, or refused.

    Raises ConversionError for what has no form here.
    """
    neighbours, nodes = operator.raw_operator, Nodes(scope, container)
    classes = neighbours.classes_
    marks = np.eye(len(classes))[np.asarray(neighbours._y).ravel()]  # noqa: SLF001 - there is no public way
    votes = nodes.add("MatMul", _weights(nodes, nodes.rows(operator), neighbours), nodes.doubles(marks))
    total = nodes.add("ReduceSum", votes, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
    lonely = nodes.add("Equal", total, nodes.doubles([0.0]))
    if neighbours.outlier_label_ is None:
        total = nodes.refuse_unless(nodes.add("Not", lonely), total)
        shares = nodes.add("Div", votes, total)
    else:
        outlier = nodes.doubles([_outlier(neighbours)])
        shares = nodes.add("Where", lonely, outlier, nodes.add("Div", votes, total))
    chosen = nodes.add("ArgMax", shares, axis=1, keepdims=0)
    nodes.add("Gather", nodes.labels(classes), chosen, output=operator.outputs[0].full_name)
    nodes.write_rows(shares, operator.outputs[1])


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Write the means of the neighbours' targets; rows that have none get no number. Raises ConversionError."""
    neighbours, nodes = operator.raw_operator, Nodes(scope, container)
    weights = _weights(nodes, nodes.rows(operator), neighbours)
    total = nodes.add("ReduceSum", weights, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
    sums = nodes.add("MatMul", weights, nodes.doubles(_columns_of(neighbours)))
    nodes.write_rows(nodes.add("Div", sums, total), operator.outputs[0])


def _columns_of(neighbours: Any) -> Tensor:
    return np.asarray(neighbours._y, dtype=np.float64).reshape(len(neighbours._y), -1)  # noqa: SLF001 - there is no public way


def _outlier(neighbours: Any) -> Tensor:
    """The shares of classes of rows without a neighbour."""
    marks = np.asarray(neighbours.classes_ == neighbours.outlier_label_[0], dtype=np.float64)
    if not marks.any():
        raise ConversionError(
            "the RadiusNeighborsClassifier answers outliers by a label that is none of its classes, which cannot be "
            "served: choose outlier_label='most_frequent', or one of the classes",
            estimator="RadiusNeighborsClassifier",
        )
    return marks


def _weights(nodes: Nodes, rows: str, neighbours: Any) -> str:
    """How much each fitted row weighs for each row [N, fitted]; nothing beyond the radius."""
    name = type(neighbours).__name__
    if neighbours.effective_metric_ != "euclidean" or neighbours.weights not in ("uniform", "distance", None):
        raise ConversionError(
            f"the {name} measures by {neighbours.effective_metric_!r} or weighs by a function, which has no ONNX form "
            "here: choose metric='euclidean' and weights='uniform' or 'distance'",
            estimator=name,
        )
    squares = _squares(nodes, rows, neighbours)
    near = nodes.add("LessOrEqual", squares, nodes.doubles([float(neighbours.radius) ** 2]))
    inside = nodes.add("Cast", near, to=TensorProto.DOUBLE)
    if neighbours.weights != "distance":
        return inside
    same = nodes.add("Cast", nodes.add("Equal", squares, nodes.doubles([0.0])), to=TensorProto.DOUBLE)
    some_same = nodes.add("ReduceMax", same, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
    inverse = nodes.add("Reciprocal", nodes.add("Sqrt", squares))
    inverse = nodes.add("Where", near, inverse, nodes.doubles([0.0]))
    return nodes.add("Where", nodes.add("Cast", some_same, to=TensorProto.BOOL), same, inverse)


def _squares(nodes: Nodes, rows: str, neighbours: Any) -> str:
    """Squared distances [N, fitted], added up as scikit-learn does it: rows often lie on the radius itself."""
    fitted = np.asarray(neighbours._fit_X, dtype=np.float64)  # noqa: SLF001 - there is no public way
    if neighbours._fit_method == "brute":  # noqa: SLF001
        own = nodes.add("ReduceSumSquare", rows, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
        products = nodes.add("Add", nodes.add("MatMul", rows, nodes.doubles(-2 * fitted.T)), own)
        return nodes.add(
            "Max", nodes.add("Add", products, nodes.doubles(np.square(fitted).sum(axis=1))), nodes.doubles([0.0])
        )
    total = ""
    for place, column in enumerate(fitted.T):
        own = nodes.add("Gather", rows, nodes.constant(TensorProto.INT64, [1], [place]), axis=1)
        apart = nodes.add("Sub", own, nodes.doubles(column[None]))
        square = nodes.add("Mul", apart, apart)
        total = nodes.add("Add", total, square) if total else square
    return total
