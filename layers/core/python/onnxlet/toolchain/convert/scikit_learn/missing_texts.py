"""Missing texts: clients send empty ones, where scikit-learn was fitted with NaN or None."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from onnxlet.toolchain.convert.scikit_learn.columns import Layout, fed
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter
from onnxlet.values.tensors import Tensor, Tensors

EMPTY = ""


def is_missing(value: Any) -> bool:
    """Whether scikit-learn takes this for no value."""
    return value is None or (isinstance(value, float) and np.isnan(value)) or type(value).__name__ == "NAType"


def marks_of(estimator: Any, layout: Layout) -> dict[str, Any]:
    """What stands for a missing text, by column of texts whose imputer or encoder knows that some are missing."""
    from sklearn.impute import SimpleImputer

    marks: dict[str, Any] = {}
    for names, part in fed(estimator, layout.names):
        if isinstance(part, SimpleImputer):
            found = [part.missing_values] * len(names) if is_missing(part.missing_values) else []
        else:
            found = [_mark(values) for values in getattr(part, "categories_", None) or []]
        for name, mark in zip(names, found, strict=False):
            if layout.datatypes[name] == "BYTES" and is_missing(mark):
                marks.setdefault(name, mark)
    return marks


def marked(columns: Tensors, marks: dict[str, Any]) -> Tensors:
    """The columns with marks for empty texts."""
    found = dict(columns)
    for name, mark in marks.items():
        found[name] = columns[name].copy()
        found[name][columns[name] == EMPTY] = mark
    return found


def categorized(convert: Converter) -> Converter:
    """A converter of an encoder that takes empty texts for the missing ones among its categories."""

    def converted(scope: Any, operator: Any, container: Any) -> None:
        operator.raw_operator = _emptied(operator.raw_operator)
        convert(scope, operator, container)

    return converted


def _emptied(encoder: Any) -> Any:
    """The encoder with an empty text for the missing one among each column's categories."""
    own = copy.copy(encoder)
    own.categories_ = [values.copy() for values in encoder.categories_]
    for values in own.categories_:
        place = place_of_missing(values)
        if place is not None:
            values[place] = EMPTY
    return own


def _mark(categories: Tensor) -> Any:
    place = place_of_missing(categories)
    return EMPTY if place is None else categories[place]


def place_of_missing(categories: Tensor) -> int | None:
    """Where the missing one stands among texts; None if there is none, or an empty text is a category of its own."""
    if categories.dtype.kind != "O" or EMPTY in categories.tolist():
        return None
    # scikit-learn puts None before NaN, both after the texts
    missing = [place for place, value in enumerate(categories.tolist()) if is_missing(value)]
    return missing[-1] if missing and len(missing) < len(categories) else None
