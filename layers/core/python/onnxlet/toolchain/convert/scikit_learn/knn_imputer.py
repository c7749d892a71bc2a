"""KNNImputer, for which skl2onnx 1.20 takes rows without a common known feature for the nearest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.missing_texts import is_missing
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter, Nodes
from onnxlet.toolchain.convert.scikit_learn.simple_imputer import indicator_columns

_DOUBLE = TensorProto.DOUBLE


def patch_knn_imputer_shape() -> None:
    """Let the imputer have double inputs, and as many output columns as it really gives."""
    from skl2onnx.common._registration import register_shape_calculator

    register_shape_calculator("SklearnKNNImputer", _shape, overwrite=True)


def knn_imputer_converter(_: Converter) -> Converter:
    """A converter of KNNImputer that finds neighbours in double precision, as scikit-learn does."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        from skl2onnx.common.data_types import DoubleTensorType

        imputer, nodes = operator.raw_operator, Nodes(scope, container)
        if imputer.metric != "nan_euclidean" or imputer.weights not in ("uniform", "distance"):
            raise ConversionError(
                "the KNNImputer measures or weighs by a function of its own, which has no ONNX form: choose "
                "metric='nan_euclidean' and weights='uniform' or 'distance'"
            )
        datatype = _DOUBLE if isinstance(operator.inputs[0].type, DoubleTensorType) else TensorProto.FLOAT
        rows = nodes.add("Concat", *(variable.full_name for variable in operator.inputs), axis=1)
        marker = imputer.missing_values
        if is_missing(marker):
            missing = nodes.add("IsNaN", rows)
        else:
            missing = nodes.add("Equal", rows, nodes.constant(datatype, [1], marker))
        columns = nodes.add("Concat", *_columns(imputer, nodes, nodes.add("Cast", rows, to=_DOUBLE), missing), axis=1)
        nodes.add("Cast", columns, output=operator.outputs[0].full_name, to=datatype)

    return write_operator


def _columns(imputer: Any, nodes: Nodes, rows: str, missing: str) -> Iterator[str]:
    """What the imputer gives, column by column [N, 1]: those it fills in, those it keeps empty, and its indicators."""
    known = nodes.add("Where", missing, nodes.constant(_DOUBLE, [], 0), rows)
    distances = _distances(imputer, nodes, known, missing)
    for column, valid in enumerate(imputer._valid_mask):  # noqa: SLF001 - there is no public way
        place = nodes.constant(TensorProto.INT64, [1], column)
        if valid:
            missing_cell, own = nodes.add("Gather", missing, place, axis=1), nodes.add("Gather", rows, place, axis=1)
            yield nodes.add("Where", missing_cell, _mean(imputer, nodes, distances, column), own)
        elif imputer.keep_empty_features:
            empty = nodes.add("Gather", known, place, axis=1)
            yield nodes.add("Mul", empty, nodes.constant(_DOUBLE, [], 0))
    if indicators := indicator_columns(imputer):
        flags = nodes.add("Gather", missing, nodes.constant(TensorProto.INT64, [len(indicators)], indicators), axis=1)
        yield nodes.add("Cast", flags, to=_DOUBLE)


def _distances(imputer: Any, nodes: Nodes, known: str, missing: str) -> str:
    """Squared distances [N, fitted] from each row to each fitted one, infinite where they share no known feature.

    Over what both have, the squares of x - y add up to those of x, those of y, less twice the products.
    """
    absent = imputer._mask_fit_X  # noqa: SLF001 - there is no public way
    fitted = np.where(absent, 0, imputer._fit_X).astype(np.float64)  # noqa: SLF001
    count, width = fitted.shape
    here = nodes.add("Cast", nodes.add("Not", missing), to=_DOUBLE)
    terms = nodes.add("Concat", nodes.add("Mul", known, known), here, known, axis=1)
    factors = np.concatenate([(~absent).T, (fitted**2).T, -2 * fitted.T])
    squares = nodes.add("MatMul", terms, nodes.constant(_DOUBLE, [3 * width, count], factors))
    common = nodes.add("MatMul", here, nodes.constant(_DOUBLE, [width, count], (~absent).T / width))
    scaled = nodes.add("Div", nodes.add("Max", squares, nodes.constant(_DOUBLE, [], 0)), common)
    nothing_shared = nodes.add("Equal", common, nodes.constant(_DOUBLE, [], 0))
    return nodes.add("Where", nothing_shared, nodes.constant(_DOUBLE, [], np.inf), scaled)


def _mean(imputer: Any, nodes: Nodes, distances: str, column: int) -> str:
    """[N, 1]: the weighted mean of the nearest rows' numbers; that of all where there is nothing in common with any."""
    donors = np.flatnonzero(~imputer._mask_fit_X[:, column])  # noqa: SLF001 - there is no public way
    values = imputer._fit_X[donors, column].astype(np.float64)  # noqa: SLF001
    theirs = nodes.add("Gather", distances, nodes.constant(TensorProto.INT64, [len(donors)], donors), axis=1)
    count = nodes.constant(TensorProto.INT64, [1], min(imputer.n_neighbors, len(donors)))
    near, places = nodes.add_both("TopK", theirs, count, axis=1, largest=0)
    weights = _weights(imputer.weights, nodes, near)
    numbers = nodes.add("Gather", nodes.constant(_DOUBLE, [len(donors)], values), places)
    across = nodes.constant(TensorProto.INT64, [1], 1)
    total = nodes.add("ReduceSum", weights, across)
    mean = nodes.add("Div", nodes.add("ReduceSum", nodes.add("Mul", weights, numbers), across), total)
    alone = nodes.add("Equal", total, nodes.constant(_DOUBLE, [], 0))
    return nodes.add("Where", alone, nodes.constant(_DOUBLE, [], values.mean()), mean)


def _weights(wanted: str, nodes: Nodes, squares: str) -> str:
    """[N, neighbours]: nothing for those that are infinitely far; where some are at no distance, only these weigh."""
    if wanted == "uniform":
        return nodes.add("Cast", nodes.add("Not", nodes.add("IsInf", squares)), to=_DOUBLE)
    same = nodes.add("Cast", nodes.add("Equal", squares, nodes.constant(_DOUBLE, [], 0)), to=_DOUBLE)
    some = nodes.add("ReduceMax", same, nodes.constant(TensorProto.INT64, [1], 1))
    inverse = nodes.add("Reciprocal", nodes.add("Sqrt", squares))
    return nodes.add("Where", nodes.add("Cast", some, to=TensorProto.BOOL), same, inverse)


def _shape(operator: Any) -> None:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    imputer, kind = operator.raw_operator, operator.inputs[0].type
    valid = imputer._valid_mask  # noqa: SLF001 - there is no public way
    width = len(indicator_columns(imputer)) + (len(valid) if imputer.keep_empty_features else int(valid.sum()))
    tensor_type = DoubleTensorType if isinstance(kind, DoubleTensorType) else FloatTensorType
    operator.outputs[0].type = tensor_type([operator.inputs[0].get_first_dimension(), width])
