"""Hashed categories: which values the hashes stand for that CatBoost keeps of categories, as the data show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert.boosting.category_hashes import category_hash
from onnxlet.toolchain.workbench.table import Table, quoted

_BOOLEANS = {"true": 1, "false": 0}


def find_categories(
    model_name: str, hashes: Mapping[int, Sequence[int]], names: Sequence[str], table: Table | None
) -> dict[int, list[int] | list[str]]:
    """The categories by the position of the feature, in the order of their hashes; of a feature without, some value.

    Raises InvalidInputError without data, and for data that lack one of the categories.
    """
    if table is None:
        raise InvalidInputError(
            f"the {model_name} keeps only hashes of the categories of {quoted(names[at] for at in hashes)}: give "
            "--data in which each of them occurs"
        )
    found: dict[int, list[int] | list[str]] = {}
    for at, wanted in hashes.items():
        values = _distinct(table, names[at])
        by_hash: dict[int, Any] = {category_hash(value): value for value in values}
        lacking = [each for each in wanted if each not in by_hash]
        if lacking:
            raise InvalidInputError(
                f"{table.name!r} lacks {len(lacking)} of the {len(wanted)} categories that the {model_name} splits "
                f"{names[at]!r} by, and the model keeps only their hashes: give data in which each of them occurs, "
                "such as rows that it was trained on, or a DataFrame whose column has pandas' category type",
                column=names[at],
            )
        found[at] = [by_hash[each] for each in wanted] or values[:1]
    return found


def _distinct(table: Table, name: str) -> list[int] | list[str]:
    """The values of a column, as whole numbers if all are such, else as texts."""
    values = list(dict.fromkeys(_as_read(table, name)))
    whole = [_whole_number(value) for value in values]
    if values and None not in whole:
        return [number for number in whole if number is not None]
    return [str(value) for value in values]


def _as_read(table: Table, name: str) -> Iterable[Any]:
    """The caller's own values, or the cells of a file as pandas takes them."""
    if table.own is None:
        cells = table.column(name)
        if all(cell.lower() in _BOOLEANS for cell in cells):
            return [_BOOLEANS[cell.lower()] for cell in cells]
        return [int(cell) for cell in cells] if all(map(_is_written_whole, cells)) else cells
    place = list(table.columns).index(name)
    column = table.own.iloc[:, place] if hasattr(table.own, "iloc") else table.own[:, place]
    if column.dtype.name == "category":
        column = column.cat.categories
    return [value for value in column.tolist() if value is not None and value == value]  # noqa: PLR0124 - NaN


def _is_written_whole(cell: str) -> bool:
    """Whether a cell is a whole number as Python writes it: `7`, not `07`."""
    digits = cell.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and str(int(cell)) == cell


def _whole_number(value: Any) -> int | None:
    """CatBoost takes booleans for numbers."""
    if isinstance(value, bool | int | np.integer | np.bool_):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else None
