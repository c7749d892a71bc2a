"""What is counted of tensors: one column of numbers or texts for each value of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import prod

import numpy as np

from onnxlet.steps import Steps
from onnxlet.values.tensors import Tensor

MOST_VALUES = 16_384
"""Values of a row that are counted one by one; tensors with more, such as pictures, have no columns."""


def columns_of(
    tensors: Mapping[str, Tensor], names: Mapping[str, tuple[str, ...]], dropped: Iterable[str] = ()
) -> Iterator[tuple[str, Tensor]]:
    """Each column's name and its [N] values: those of a tensor [N] or [N, 1] are called as it is.

    `names` are those of the columns of a tensor [N, ...]; without, they are `name[0]`, `name[1]` … `dropped` columns,
    and whole tensors, are never touched.
    """
    away = frozenset(dropped)
    for name, tensor in tensors.items():
        width = prod(tensor.shape[1:])
        if name in away or tensor.ndim == 0 or not 0 < width <= MOST_VALUES:
            continue
        if width == 1:
            yield name, tensor.reshape(-1)
            continue
        matrix = tensor.reshape(len(tensor), width)
        given = names.get(name, ())
        called = given if len(given) == width else tuple(f"{name}[{place}]" for place in range(width))
        for place, column in enumerate(called):
            if column not in away:
                yield column, matrix[:, place]


def column_names(steps: Steps) -> dict[str, tuple[str, ...]]:
    """The names of the columns of a matrix that a version takes, by its name."""
    for step in steps.each:
        columns = step.named_columns()
        filled = step.fills()
        if columns is not None and len(filled) == 1 and len(columns) > 1:
            return {filled[0]: tuple(column.name for column in columns)}
    return {}


def is_text(column: Tensor) -> bool:
    """Whether a column holds texts (bytes or str); else it holds numbers."""
    return column.dtype.kind in "OSU"


def present_numbers(column: Tensor) -> Tensor:
    """The numbers of a column that are not missing."""
    numbers = column.astype(np.float64)
    return numbers[~np.isnan(numbers)]


def present_texts(column: Tensor) -> list[str]:
    """The texts of a column that are not missing; None, NaN and the empty text are."""
    return [text for text in map(_to_text, column.tolist()) if text]


def count_texts(column: Tensor) -> Counter[str]:
    """How often each text is in a column, but for those that are missing."""
    found: Counter[str] = Counter()
    for value, count in Counter(column.tolist()).items():
        found[_to_text(value)] += count
    del found[""]
    return found


def _to_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
