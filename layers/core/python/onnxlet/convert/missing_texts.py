"""Missing texts: clients send empty ones, where scikit-learn was fitted with NaN or None."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from onnxlet.convert.columns import Layout, fed
from onnxlet.tensors import Tensor, Tensors

EMPTY = ""
_FLOATS = {"values_int64s": "values_floats", "default_int64": "default_float"}
Converter = Callable[[Any, Any, Any], None]


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


def ordered(convert: Converter) -> Converter:
    """A converter of an ordinal encoder that gives empty texts the number of the missing ones, which may be NaN."""

    def converted(scope: Any, operator: Any, container: Any) -> None:
        encoder, add_node = operator.raw_operator, container.add_node
        # None has a number like any text
        places = [_place(values) if isinstance(_mark(values), float) else None for values in encoder.categories_]
        left = iter(places)

        def add(operator_type: str, *arguments: Any, **attributes: Any) -> None:
            if operator_type == "LabelEncoder" and any(place is not None for place in places):
                attributes = _encoded(attributes, encoder.encoded_missing_value, next(left))
            add_node(operator_type, *arguments, **attributes)

        operator.raw_operator = _emptied(encoder)
        container.add_node = add
        try:
            convert(scope, operator, container)
        finally:
            del container.add_node

    return converted


def _encoded(attributes: dict[str, Any], number: float, place: int | None) -> dict[str, Any]:
    """The attributes of a label encoder to floats that gives `number` to the category at `place`."""
    found = {_FLOATS.get(name, name): value for name, value in attributes.items()}
    if "default_float" in found:
        found["default_float"] = float(found["default_float"])
    values = np.asarray(found["values_floats"], dtype=np.float32)
    found["values_floats"] = values if place is None else np.append(values[:place], np.float32(number))
    return found


def _emptied(encoder: Any) -> Any:
    """The encoder with an empty text for the missing one among each column's categories."""
    own = copy.copy(encoder)
    own.categories_ = [values.copy() for values in encoder.categories_]
    for values in own.categories_:
        place = _place(values)
        if place is not None:
            values[place] = EMPTY
    return own


def _mark(categories: Tensor) -> Any:
    place = _place(categories)
    return EMPTY if place is None else categories[place]


def _place(categories: Tensor) -> int | None:
    """Where the missing one stands among texts; None if there is none, or an empty text is a category of its own."""
    if categories.dtype.kind != "O" or EMPTY in categories.tolist():
        return None
    # scikit-learn puts None before NaN, both after the texts
    missing = [place for place, value in enumerate(categories.tolist()) if is_missing(value)]
    return missing[-1] if missing and len(missing) < len(categories) else None
