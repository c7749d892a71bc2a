"""One column of cells → one tensor. A cell is text (CSV) or a JSON value; a bad one is reported by its position.

A missing cell is an empty one, `NaN` (how many tools write it) or JSON's null; an absent one is not there at all. Both
take what the caller says stands for them, and without that they are bad. Numbers are exact or refused: no integer is
rounded, none leaves its datatype's range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np

from onnxlet.values.datatypes import Datatype
from onnxlet.values.tensors import Tensor


class Empty(Enum):
    """A cell without a value."""

    MISSING = "it says that there is no value"
    ABSENT = "it is not there at all: its column may be misspelt"


EXACT_FLOAT = 2**53
"""Below this a whole float is certainly the integer that was written."""

_TRUE_FALSE = {"true": True, "1": True, "false": False, "0": False}

_TYPE_NAMES = {"f": "a number", "i": "an integer", "b": "true or false", "s": "text"}


class BadCellError(ValueError):
    """This cell cannot be an element of the column; the message says why and never holds its value."""


Parse = Callable[[Any, Datatype], Any]


def read_column(
    cells: Sequence[Any], datatype: Datatype, parse: Parse, *, missing: object = None, absent: object = None
) -> tuple[Tensor, dict[int, str]]:
    """The column as a tensor [N], and why each bad cell is bad, by position (its element means nothing).

    `missing` and `absent` are the elements that stand for cells that are empty in one of these ways, None if nothing
    does. `parse` is `parse_text` or `parse_json`.
    """
    quick = _quick_column(cells, datatype, parse)
    if quick is not None:
        return quick, {}
    values = np.zeros(len(cells), datatype.numpy)
    bad: dict[int, str] = {}
    for position, cell in enumerate(cells):
        try:
            values[position] = _read_cell(cell, datatype, parse, missing, absent)
        except BadCellError as error:
            bad[position] = str(error)
    return values, bad


def _read_cell(cell: object, datatype: Datatype, parse: Parse, missing: object, absent: object) -> object:
    if cell is Empty.ABSENT:
        if absent is None:
            # a misspelt name must not pass for a missing value
            raise BadCellError("the column is not there" + ("; null is a missing value" if missing is not None else ""))
        value = absent
    else:
        value = parse(cell, datatype)
        if value is Empty.MISSING:
            value = missing
    if value is None:
        raise BadCellError("missing value")
    return value


def _quick_column(cells: Sequence[Any], datatype: Datatype, parse: Parse) -> Tensor | None:
    """The column if it is plain floats without a surprise, which is nearly always; else None."""
    if datatype.kind != "f":
        return None
    if not set(map(type, cells)) <= ({str} if parse is parse_text else {int, float}):
        return None
    if parse is parse_text and not _is_plain("".join(cells)):
        return None
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except (ValueError, OverflowError):
        return None
    # the comparison is false for NaN as well
    return values.astype(datatype.numpy) if bool((np.abs(values) <= np.finfo(datatype.numpy).max).all()) else None


def _is_plain(text: str) -> bool:
    # Python's float() and int() take `1_000` and other scripts' digits, which no exchange format means as a number
    return text.isascii() and "_" not in text


def parse_text(cell: str, datatype: Datatype) -> object:
    """A CSV cell as an element, MISSING if it has no value. Raises BadCellError."""
    if datatype.kind == "s":
        return cell or Empty.MISSING
    text = cell.strip()
    if not text:
        return Empty.MISSING
    if datatype.kind == "b":
        if text.lower() not in _TRUE_FALSE:
            raise BadCellError("not true or false")
        return _TRUE_FALSE[text.lower()]
    number = _parse_number(text, datatype)
    return Empty.MISSING if isinstance(number, float) and math.isnan(number) else check_range(number, datatype)


def _parse_number(text: str, datatype: Datatype) -> float:
    if not _is_plain(text):
        raise BadCellError(f"not {_TYPE_NAMES[datatype.kind]}")
    try:
        if datatype.kind == "f":
            return float(text)
        # spreadsheets and data frames write integers with a fraction of zero once a cell of the column is missing
        return int(text) if text.lstrip("+-").isdigit() else _to_integer(float(text))
    except ValueError:
        raise BadCellError(f"not {_TYPE_NAMES[datatype.kind]}") from None


def _to_integer(number: float) -> float:
    """Raises ValueError unless this is certainly the integer that was meant; NaN is missing, not wrong."""
    if math.isnan(number):
        return number
    if not number.is_integer() or abs(number) >= EXACT_FLOAT:
        raise ValueError
    return int(number)


def parse_json(value: object, datatype: Datatype) -> object:
    """A JSON value as an element, MISSING if it is null; types are strict, as over HTTP. Raises BadCellError."""
    if value is None:
        return Empty.MISSING
    wanted: dict[str, tuple[type, ...]] = {"f": (float, int), "i": (int,), "b": (bool,), "s": (str,)}
    if type(value) not in wanted[datatype.kind]:
        raise BadCellError(f"not {_TYPE_NAMES[datatype.kind]}")
    return check_range(value, datatype) if isinstance(value, (int, float)) and datatype.kind in "fi" else value


def check_range(number: float, datatype: Datatype) -> float:
    """`number` if the datatype can hold it. Raises BadCellError."""
    if datatype.kind == "i":
        low, high = np.iinfo(datatype.numpy).min, np.iinfo(datatype.numpy).max
        if not low <= number <= high:
            raise BadCellError(f"out of range for {datatype.name}")
        return number
    if isinstance(number, float) and math.isinf(number):
        raise BadCellError("not a finite number")
    if not abs(number) <= float(np.finfo(datatype.numpy).max):
        raise BadCellError(f"out of range for {datatype.name}")
    return number
