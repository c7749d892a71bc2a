"""OneHotEncoder and OrdinalEncoder, where skl2onnx 1.20 truncates numeric categories or encodes unknown ones wrongly.

A cell's index among its column's categories is looked up, then the code that scikit-learn gives that category. The
index after the last stands for unknown categories. Where the encoder refuses them it has no code, and ONNX Runtime
refuses the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.toolchain.convert.scikit_learn.missing_texts import EMPTY, index_of_missing, is_missing
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter, Nodes
from onnxlet.values.tensors import Tensor


def ordinal_encoder_converter(_: Converter) -> Converter:
    """A converter of OrdinalEncoder; the one that it replaces is not used."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        encoder, nodes = operator.raw_operator, Nodes(scope, container)
        unknown = [encoder.unknown_value] if encoder.handle_unknown == "use_encoded_value" else []
        whole = np.issubdtype(encoder.dtype, np.integer)
        datatype = TensorProto.INT64 if whole else TensorProto.FLOAT
        columns = []
        for index, values, codes in zip(
            _category_indices(nodes, operator), encoder.categories_, _encode_categories(encoder).T, strict=True
        ):
            table = [*codes[: len(values)].tolist(), *unknown]
            columns.append(nodes.add("Gather", nodes.constant(datatype, [len(table)], table), index))
        nodes.add("Concat", *columns, output=operator.outputs[0].full_name, axis=1)

    return write_operator


def one_hot_encoder_converter(convert: Converter) -> Converter:
    """A converter of OneHotEncoder for numbers and for infrequent categories; others are left to `convert`."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

        encoder = operator.raw_operator
        numbers = isinstance(operator.inputs[0].type, FloatTensorType | DoubleTensorType)
        if numbers or any(rare is not None for rare in _infrequent_categories(encoder)):
            _write_one_hot(encoder, operator, Nodes(scope, container))
        else:
            convert(scope, operator, container)

    return write_operator


def _write_one_hot(encoder: Any, operator: Any, nodes: Nodes) -> None:
    widths = encoder._n_features_outs  # noqa: SLF001 - there is no public way
    blocks = np.split(_encode_categories(encoder), np.cumsum(widths)[:-1], axis=1)
    datatype = TensorProto.INT64 if np.issubdtype(encoder.dtype, np.signedinteger) else TensorProto.FLOAT
    switch = nodes.constant(datatype, [2], [0, 1])
    columns = []
    each = zip(
        _category_indices(nodes, operator), encoder.categories_, blocks, _infrequent_categories(encoder), strict=True
    )
    for index, values, block, rare in each:
        width = block.shape[1]
        # a category without a column gets the index beyond the last, for which OneHot writes zeros
        table = np.where(block.any(axis=1), block.argmax(axis=1) if width else 0, width)[: len(values)].tolist()
        if encoder.handle_unknown != "error":
            joins = rare is not None and encoder.handle_unknown != "ignore"
            table.append(table[values.tolist().index(rare[0])] if joins else width)
        code = nodes.add("Gather", nodes.constant(TensorProto.INT64, [len(table)], table), index)
        if width:
            columns.append(nodes.add("OneHot", code, nodes.constant(TensorProto.INT64, [], width), switch))
    rows = nodes.add("Concat", *columns, axis=2)
    shape = nodes.constant(TensorProto.INT64, [2], [-1, sum(widths)])
    nodes.add("Reshape", rows, shape, output=operator.outputs[0].full_name)


def _infrequent_categories(encoder: Any) -> list[Any]:
    """Each column's infrequent categories, which the encoder merges; None for a column without."""
    categories = getattr(encoder, "infrequent_categories_", None)
    return [None] * len(encoder.categories_) if categories is None else categories


def _encode_categories(encoder: Any) -> Tensor:
    """The codes [categories, outputs] of a row of all first categories, of all second ones, and so on."""
    cells = np.empty((max(map(len, encoder.categories_)), len(encoder.categories_)), dtype=object)
    for column, values in enumerate(encoder.categories_):
        cells[:, column] = values[-1]
        cells[: len(values), column] = values
    codes = encoder.transform(cells)
    return np.asarray(codes.toarray() if hasattr(codes, "toarray") else codes)


def _category_indices(nodes: Nodes, operator: Any) -> Iterator[str]:
    """Column by column [N, 1]: each cell's index among the categories; their count for an unknown one."""
    categories = iter(operator.raw_operator.categories_)
    for variable in operator.inputs:
        width = variable.type.shape[1]
        for index in range(width):
            column = variable.full_name
            if width > 1:
                column = nodes.add("Gather", column, nodes.constant(TensorProto.INT64, [1], [index]), axis=1)
            yield _category_index(nodes, column, type(variable.type), next(categories))


def _category_index(nodes: Nodes, column: str, kind: type, categories: Tensor) -> str:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    if kind in (FloatTensorType, DoubleTensorType):
        datatype = TensorProto.DOUBLE if kind is DoubleTensorType else TensorProto.FLOAT
        return _numeric_category_index(nodes, column, datatype, categories)
    names = {index: value for index, value in enumerate(categories.tolist()) if not is_missing(value)}
    attributes: dict[str, Any] = {}
    if kind is StringTensorType:
        missing = index_of_missing(categories)
        names |= {} if missing is None else {missing: EMPTY}
        attributes["keys_strings"] = [str(name).encode() for name in names.values()]
    else:
        attributes["keys_int64s"] = [int(name) for name in names.values()]
    attributes |= {"values_int64s": list(names), "default_int64": len(categories)}
    return nodes.add("LabelEncoder", column, op_domain="ai.onnx.ml", op_version=2, **attributes)


def _numeric_category_index(nodes: Nodes, column: str, datatype: int, categories: Tensor) -> str:
    count = len(categories)
    numbers = np.array([np.nan if is_missing(value) else float(value) for value in categories.tolist()])
    same = nodes.add("Equal", column, nodes.constant(datatype, [1, count], numbers))
    if np.isnan(numbers).any():
        missing = nodes.constant(TensorProto.BOOL, [1, count], np.isnan(numbers))
        same = nodes.add("Or", same, nodes.add("And", nodes.add("IsNaN", column), missing))
    ones = nodes.add("Cast", same, to=TensorProto.FLOAT)
    behind = nodes.add("MatMul", ones, nodes.constant(TensorProto.FLOAT, [count, 1], np.arange(count) - count))
    index = nodes.add("Add", behind, nodes.constant(TensorProto.FLOAT, [1], count))
    return nodes.add("Cast", index, to=TensorProto.INT64)
