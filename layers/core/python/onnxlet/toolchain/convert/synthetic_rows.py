"""Synthetic rows: made from the statistics of the data, so that no row of it travels with a version.

Each column is drawn by itself. A column with many values is cut into quantile bins of at least SMALLEST_GROUP rows,
without the outermost per cent, and a value is drawn uniformly within a bin. A column with few values gives one of those
that SMALLEST_GROUP rows share, a column of texts also those that the model itself knows; where there are none, names
say, texts are made up. A synthetic row that equals a row of the data is thrown away.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from onnxlet.values.tensors import Tensor, Tensors

SMALLEST_GROUP = 5
"""The fewest rows that a bin or a category stands for."""
MOST_BINS = 10
FEW_VALUES = 12
"""A column with at most so many distinct values is treated as categories."""
OFFSET = 0.3
"""What is added to a whole number: away from it, and from the middle between it and the next."""
LARGEST = 10
"""The size of arbitrary numbers."""


def synthetic_rows(columns: Tensors, count: int, *, seed: int, known: Collection[str] = ()) -> Tensors:
    """Draw up to `count` rows from the columns' binned statistics; none equals a row of the columns.

    `columns` are tensors [rows] of numbers or texts, `known` the texts that the model itself knows. There may be no row
    at all, where every combination is taken.
    """
    random = np.random.default_rng(seed)
    drawn = {name: _draw_column(column, count, random, known) for name, column in columns.items()}
    existing = set(zip(*(column.tolist() for column in columns.values()), strict=True))
    is_new = [row not in existing for row in zip(*(column.tolist() for column in drawn.values()), strict=True)]
    return {name: column[is_new] for name, column in drawn.items()}


def synthetic_columns(columns: Tensors, count: int, *, seed: int) -> Tensors:
    """Draw `count` rows from the columns' binned statistics. Where columns have few values they may equal others."""
    random = np.random.default_rng(seed)
    return {name: _draw_column(column, count, random) for name, column in columns.items()}


def synthetic_tensors(tensors: Tensors, count: int, *, seed: int) -> Tensors:
    """Draw `count` rows of tensors [rows, ...]: each element by itself, from the statistics of its whole tensor."""
    random = np.random.default_rng(seed)
    return {
        name: _draw_column(tensor.ravel(), count * tensor[0].size, random).reshape(count, *tensor.shape[1:])
        for name, tensor in tensors.items()
    }


def arbitrary_rows(columns: Tensors, count: int, *, seed: int) -> Tensors:
    """Draw `count` rows of the columns' types without looking at their values."""
    random = np.random.default_rng(seed)
    arbitrary: Tensors = {}
    for name, column in columns.items():
        if column.dtype.kind == "O":
            arbitrary[name] = _arbitrary_texts(count, random)
        else:
            arbitrary[name] = (random.standard_normal(count) * LARGEST).astype(column.dtype)
    return arbitrary


def move_off_integers(columns: Tensors) -> Tensors:
    """Add OFFSET to floats that are whole numbers: trees split at whole numbers, or halfway between two."""
    return {
        name: np.where(column == np.round(column), column + OFFSET, column).astype(column.dtype)
        if column.dtype.kind == "f"
        else column
        for name, column in columns.items()
    }


def _arbitrary_texts(count: int, random: np.random.Generator) -> Tensor:
    return np.array([f"text {value}" for value in random.integers(0, LARGEST, count)], dtype=object)


def _draw_column(column: Tensor, count: int, random: np.random.Generator, known: Collection[str] = ()) -> Tensor:
    if column.dtype.kind == "O":
        values, counts = _shared_values(column, known)
        return _draw_value(values, counts, count, random) if len(values) else _arbitrary_texts(count, random)
    finite = column[np.isfinite(column)] if column.dtype.kind == "f" else column
    if len(finite) == 0:
        return np.zeros(count, dtype=column.dtype)
    values, counts = _shared_values(finite)
    if len(values) and len(np.unique(finite)) <= FEW_VALUES:
        return _draw_value(values, counts, count, random)
    bins = max(1, min(MOST_BINS, len(finite) // SMALLEST_GROUP))
    edges = np.quantile(finite.astype(np.float64), np.linspace(0.01, 0.99, bins + 1))
    chosen = random.integers(0, bins, count)
    drawn = random.uniform(edges[chosen], edges[chosen + 1])
    is_whole = bool((finite == np.floor(finite)).all())
    return (np.round(drawn) if is_whole else drawn).astype(column.dtype)


def _shared_values(column: Tensor, known: Collection[str] = ()) -> tuple[Tensor, Tensor]:
    """The values that enough rows share, or that are known, and how many rows have them."""
    values, counts = np.unique(column, return_counts=True)
    shared = counts >= SMALLEST_GROUP
    if known:
        shared |= np.array([value in known for value in values])
    return values[shared], counts[shared]


def _draw_value(values: Tensor, counts: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """Draw from the values, as often as rows have them."""
    return random.choice(values, count, p=counts / counts.sum())
