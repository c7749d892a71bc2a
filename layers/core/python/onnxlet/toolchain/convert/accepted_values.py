"""Accepted values: whether a model takes missing values, or infinite ones, in a column, found by asking it.

Whether the data happened to have some says nothing: an imputer takes them that was fitted on complete columns, and a
scaler in front of it may not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.trained_model import ModelRows, TrainedModel


def ask_accepted(model: TrainedModel, rows: ModelRows) -> ModelRows:
    """The rows with the columns in which the model takes NaN, and those in which it takes infinities.

    Texts may be missing where some are in the rows, or where the model was fitted with some.
    """
    numbers = [name for name, column in rows.columns.items() if column.dtype.kind == "f"]
    asked = [name for name in numbers if name not in rows.booleans]
    return replace(
        rows,
        missing=frozenset(_accepted(asked, lambda names: _answers(model, rows, names, np.nan))),
        infinite=frozenset(_accepted(asked, lambda names: _answers(model, rows, names, np.inf))),
    )


def _accepted(names: Sequence[str], accepts: Callable[[Sequence[str]], bool]) -> list[str]:
    """Those of the columns that are accepted: all of a group that is, else each half of it by itself."""
    if not names or accepts(names):
        return list(names)
    if len(names) == 1:
        return []
    half = len(names) // 2
    return [*_accepted(names[:half], accepts), *_accepted(names[half:], accepts)]


def _answers(model: TrainedModel, rows: ModelRows, names: Sequence[str], value: float) -> bool:
    """Whether the model answers the first row, with this value in one of the columns each time, by finite numbers."""
    changed = rows.take(np.zeros(len(names), dtype=np.intp))
    columns = {name: column.copy() for name, column in changed.columns.items()}
    own = changed.own if changed.own is None else changed.own.copy()
    try:
        for row, name in enumerate(names):
            columns[name][row] = value
            own = own if own is None else _with_value(own, row, list(columns).index(name), value)
        with np.errstate(all="ignore"):
            answers = model.predict(replace(changed, columns=columns, own=own))
    except (InvalidInputError, ConversionError, TypeError):
        # pandas itself refuses what is none of a column's categories
        return False
    return all(bool(np.isfinite(answer).all()) for answer in answers.values() if answer.dtype.kind == "f")


def _with_value(own: Any, row: int, column: int, value: float) -> Any:
    """The caller's rows with one value changed; whole numbers become floats for it."""
    if hasattr(own, "iloc"):
        name = own.columns[column]
        cells = own[name]
        changed = own.copy()
        if cells.dtype.kind in "iuf":
            numbers = cells.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
            numbers[row] = value
            changed[name] = numbers
        else:
            changed.iloc[row, column] = value
        return changed
    matrix = own if own.dtype.kind in "fO" else own.astype(np.float64)
    matrix[row, column] = value
    return matrix
