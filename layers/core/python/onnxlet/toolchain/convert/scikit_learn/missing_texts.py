"""Missing texts: clients send empty texts where scikit-learn was fitted with NaN or None."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from onnxlet.toolchain.convert.scikit_learn.columns import ColumnLayout, parts_with_columns
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter
from onnxlet.values.tensors import Tensor, Tensors

EMPTY = ""


def is_missing(value: Any) -> bool:
    """Whether scikit-learn takes this for a missing value."""
    return value is None or (isinstance(value, float) and np.isnan(value)) or type(value).__name__ == "NAType"


def missing_markers(estimator: Any, layout: ColumnLayout) -> dict[str, Any]:
    """What the estimator was fitted with for missing texts, by column; only columns whose texts may be missing."""
    from sklearn.impute import SimpleImputer

    markers: dict[str, Any] = {}
    for names, part in parts_with_columns(estimator, layout.names):
        if isinstance(part, SimpleImputer):
            column_markers = [part.missing_values] * len(names) if is_missing(part.missing_values) else []
        else:
            column_markers = [
                _missing_marker(column_markers) for column_markers in getattr(part, "categories_", None) or []
            ]
        for name, marker in zip(names, column_markers, strict=False):
            if layout.datatypes[name] == "BYTES" and is_missing(marker):
                markers.setdefault(name, marker)
    return markers


def mark_missing_texts(columns: Tensors, markers: dict[str, Any]) -> Tensors:
    """The columns with these markers in place of empty texts."""
    result = dict(columns)
    for name, marker in markers.items():
        result[name] = columns[name].copy()
        result[name][columns[name] == EMPTY] = marker
    return result


def empty_text_converter(convert: Converter) -> Converter:
    """A converter that takes empty texts for the missing one among the encoder's categories."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        operator.raw_operator = _with_empty_category(operator.raw_operator)
        convert(scope, operator, container)

    return write_operator


def _with_empty_category(encoder: Any) -> Any:
    """The encoder with an empty text for the missing one among each column's categories."""
    own = copy.copy(encoder)
    own.categories_ = [values.copy() for values in encoder.categories_]
    for values in own.categories_:
        index = index_of_missing(values)
        if index is not None:
            values[index] = EMPTY
    return own


def _missing_marker(categories: Tensor) -> Any:
    index = index_of_missing(categories)
    return EMPTY if index is None else categories[index]


def index_of_missing(categories: Tensor) -> int | None:
    """Where the missing one stands among texts; None if there is none, or an empty text is a category of its own."""
    if categories.dtype.kind != "O" or EMPTY in categories.tolist():
        return None
    # scikit-learn puts None before NaN, both after the texts
    missing = [index for index, value in enumerate(categories.tolist()) if is_missing(value)]
    return missing[-1] if missing and len(missing) < len(categories) else None
