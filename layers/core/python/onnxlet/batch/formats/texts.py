"""Outputs of a model → what is written of them: the cells of CSV, the values of JSON, one text for each row.

Floats are as short as they can be read back in their own datatype. NaN and infinities are `nan`, `inf` and `-inf` in
CSV and null in JSON, which has no word for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import orjson

from onnxlet.values.tensors import Tensor

_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def write_cells(tensor: Tensor, hide: Callable[[str], str] = str) -> list[bytes]:
    """Each row's elements, between commas; what is text as `hide` makes it."""
    flat = tensor.reshape(len(tensor), -1)
    if flat.dtype.kind == "O":
        return [b",".join(_quote(hide(str(cell))) for cell in row) for row in flat.tolist()]
    texts = _write_numbers(flat)
    if flat.dtype.kind == "f":
        finite = np.isfinite(flat)
        for row in np.flatnonzero(~finite.all(axis=1)).tolist():
            cells = texts[row].split(b",")
            for place in np.flatnonzero(~finite[row]).tolist():
                cells[place] = str(flat[row, place]).encode()
            texts[row] = b",".join(cells)
    return texts


def join_alike(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one row for each of theirs, of numbers that follow each other in one datatype together: one text."""
    flat = [tensor.reshape(len(tensor), -1) for tensor in tensors]
    groups = (list(group) for _, group in groupby(flat, key=lambda tensor: tensor.dtype))
    return [group[0] if len(group) == 1 else np.concatenate(group, axis=1) for group in groups]


class Values(NamedTuple):
    """Each row's value as JSON, without what all of them begin and end with."""

    texts: list[bytes]
    before: bytes = b""
    after: bytes = b""


def write_values(tensor: Tensor) -> Values:
    """Each row's element as JSON: a value, or lists of them."""
    if tensor.dtype.kind == "O":
        return Values([orjson.dumps(element) for element in tensor.tolist()])
    if tensor.ndim == 1:
        return Values(_write_numbers(tensor.reshape(-1, 1)))
    if tensor.ndim == 2:  # noqa: PLR2004 - a list for each row
        return Values(_write_numbers(tensor), b"[", b"]")
    return Values([orjson.dumps(_plain(element), option=_NUMPY) for element in tensor])


def to_integers(numbers: Sequence[int]) -> Tensor:
    """Numbers as an array, those of a range without looking at each."""
    if isinstance(numbers, range):
        return np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64)
    return np.fromiter(numbers, np.int64, len(numbers))


def write_integers(numbers: Sequence[int]) -> list[bytes]:
    """Each number."""
    return orjson.dumps(to_integers(numbers), option=_NUMPY)[1:-1].split(b",")


def interleave(columns: Sequence[Iterable[bytes]], behind: Sequence[bytes], rows: int) -> bytes:
    """Rows, each with its texts of all columns one after the other; `behind` is what stands behind each column's."""
    step = 2 * len(columns)
    parts = [b""] * (step * rows)
    for place, (column, text) in enumerate(zip(columns, behind, strict=True)):
        parts[2 * place :: step] = column
        parts[2 * place + 1 :: step] = [text] * rows
    return b"".join(parts)


def _write_numbers(matrix: Tensor) -> list[bytes]:
    if not matrix.size:
        return [b""] * len(matrix)
    return orjson.dumps(_plain(matrix), option=_NUMPY)[2:-2].split(b"],[")


def _plain(array: Any) -> Tensor:  # noqa: ANN401 - an array of any type
    """Contiguous, and of the type that orjson knows of two that are the same, as `long` and `long long` are."""
    return np.ascontiguousarray(array, dtype=f"{array.dtype.kind}{array.dtype.itemsize}")


@lru_cache(maxsize=1024)
def _quote(cell: str) -> bytes:
    """A text as a cell of CSV."""
    if any(mark in cell for mark in ',"\r\n'):
        cell = '"' + cell.replace('"', '""') + '"'
    return cell.encode()
