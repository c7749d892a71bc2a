"""Rows that a framework refuses: what it says of them, without their values."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.privacy import values_are_shown
from onnxlet.values.tensors import Tensor

LEFT_OUT = "…"
_QUOTED = re.compile(r"(['\"`]).*\1")
_TOKEN = re.compile(
    r"(?P<place>(?:column|dimension|feature|line|row)s? \[?\d+\]?)|(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|\w+"
)
"""What a message is made of; a place is no value, though a number."""


def refused(complaint: str, message: str, rows: Any, advice: str = "") -> InvalidInputError:
    """The error for `rows` (arrays, or arrays by name) that a framework refuses, with its own `message`.

    Left out of that is what stands in quotes, and what stands in the rows as well. Raise it from `without_values`.
    """
    if not values_are_shown():
        message = _leave_out_values(message, rows)
    return InvalidInputError(f"{complaint}: {message}{advice}", withheld=not values_are_shown())


def _leave_out_values(message: str, rows: Any) -> str:
    texts, numbers = _held_values(_arrays(rows))

    def pass_token(match: re.Match[str]) -> str:
        if match["place"]:
            return match[0]
        held = match[0].casefold() in texts
        if match["number"] and not held:
            held = bool(np.isclose(numbers, float(match["number"]), rtol=1e-5, atol=0).any())
        return LEFT_OUT if held else match[0]

    return _TOKEN.sub(pass_token, _QUOTED.sub(LEFT_OUT, message))


def _arrays(rows: Any) -> list[Tensor]:
    if isinstance(rows, Mapping):
        return [np.asarray(column) for column in rows.values()]
    if hasattr(rows, "iloc"):
        return [np.asarray(rows.iloc[:, index], dtype=object) for index in range(rows.shape[1])]
    return [np.asarray(rows)]


def _held_values(arrays: Iterable[Tensor]) -> tuple[set[str], Tensor]:
    """The words in all texts, and the sizes of all numbers."""
    words: set[str] = set()
    numbers: list[Tensor] = [np.empty(0)]
    for array in arrays:
        if array.dtype.kind in "iuf":
            numbers.append(np.abs(np.unique(array).astype(np.float64)))
            continue
        for cell in set(map(str, array.ravel().tolist())):
            words.update(re.findall(r"\w\w+", cell.casefold()))
            if _is_plain_number(cell):
                numbers.append(np.abs([float(cell)]))
    return words, np.concatenate(numbers)


def _is_plain_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
