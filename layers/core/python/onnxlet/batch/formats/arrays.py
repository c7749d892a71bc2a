"""Numbers that lie in memory as such → a model's datatype. A NaN is a missing value."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np

from onnxlet.batch.formats.cells import parse_json, read_column
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES, Datatype
from onnxlet.values.tensors import Tensor

Flags = np.ndarray[Any, np.dtype[np.bool_]]

EXACT = 2**53
"""Below this a whole float is certainly the integer that was meant."""


def read_numbers(values: Tensor, column: Column, gaps: Flags | None = None) -> tuple[Tensor, dict[int, str]]:
    """Numbers, or truths, [N] as the column's datatype, and why each bad one is, by position. Those in `gaps` are none.

    Numbers are exact or refused, as in `cells`, but that floats are rounded to narrower ones.
    """
    datatype = DATATYPES[column.datatype]
    quick = _convert(values, datatype, column.filler(), gaps)
    if quick is not None:
        return quick, {}
    return judge_values([None if gap else value for value, gap in _with_gaps(values, gaps)], column)


def judge_values(values: list[Any], column: Column) -> tuple[Tensor, dict[int, str]]:
    """Values one by one, of which those that are None are missing."""
    datatype = DATATYPES[column.datatype]
    return read_column(values, datatype, parse_value, missing=column.filler(), absent=column.default)


def parse_value(value: object, datatype: Datatype) -> object:
    """A value as an element, MISSING if it is none, in the way of `cells.parse_json`. Raises BadCellError."""
    return parse_json(_plain(value, datatype.kind), datatype)


def _convert(values: Tensor, datatype: Datatype, filler: object, gaps: Flags | None) -> Tensor | None:
    """All of them at once; None if one may be bad."""
    if gaps is not None and filler is None:
        return None
    converted = _convert_floats(values, datatype) if datatype.kind == "f" else _convert_others(values, datatype)
    if converted is None:
        return None
    missing = gaps
    if converted.dtype.kind == "f" and not np.isfinite(converted).all():
        absent = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), np.bool_)
        missing = absent if gaps is None else absent | gaps
        if filler is None or not (np.isfinite(converted) | missing).all():
            return None
    if missing is not None:
        converted = converted.copy() if converted is values else converted
        converted[missing] = filler
    return converted


def _convert_floats(values: Tensor, datatype: Datatype) -> Tensor | None:
    if values.dtype.kind not in "fiu":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        # integers by way of doubles, as they are where they are read as text
        doubles = values if values.dtype.kind == "f" else values.astype(np.float64)
        return doubles.astype(datatype.numpy, copy=False)


def _convert_others(values: Tensor, datatype: Datatype) -> Tensor | None:
    if datatype.kind == "b":
        return values if values.dtype.kind == "b" else None
    if datatype.kind != "i" or values.dtype.kind not in "iu":
        return None
    if values.dtype == datatype.numpy or not len(values):
        return values.astype(datatype.numpy, copy=False)
    limits = np.iinfo(datatype.numpy)
    fits = int(values.min()) >= limits.min and int(values.max()) <= limits.max
    return values.astype(datatype.numpy) if fits else None


def _with_gaps(values: Tensor, gaps: Flags | None) -> zip[tuple[Any, bool]]:
    listed = values.tolist()
    return zip(listed, [False] * len(listed) if gaps is None else gaps.tolist(), strict=True)


def _plain(value: Any, kind: str) -> Any:  # noqa: ANN401 - a value of any kind
    """A number as JSON would have it: NaN is a missing value; whole numbers are integers, 0 and 1 no and yes."""
    if isinstance(value, Decimal):
        value = int(value) if kind != "f" and value == value.to_integral_value() else float(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if kind == "b" and value in {0, 1}:
        return bool(value)
    if kind == "i" and isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return float(value) if kind == "f" and isinstance(value, int | float) else value
