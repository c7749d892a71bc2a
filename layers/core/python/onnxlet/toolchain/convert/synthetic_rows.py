"""Synthetic rows: made from the statistics of the data, so that no row of it travels with a version.

Each column is drawn by itself. A column with many values is cut into quantile bins of at least SMALLEST_GROUP rows,
without the outermost per cent, and a value is drawn uniformly within a bin. A column with few values gives one of those
that SMALLEST_GROUP rows share. A synthetic row that equals a row of the data is thrown away.
"""

from __future__ import annotations

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


def synthetic_rows(columns: Tensors, count: int, *, seed: int) -> Tensors:
    """Draw up to `count` rows from the columns' binned statistics; none equals a row of the columns.

    `columns` are tensors [rows] of numbers or texts. There may be no row at all, where every combination is taken.
    """
    random = np.random.default_rng(seed)
    drawn = {name: _draw_column(column, count, random) for name, column in columns.items()}
    existing = set(zip(*(column.tolist() for column in columns.values()), strict=True))
    is_new = [row not in existing for row in zip(*(column.tolist() for column in drawn.values()), strict=True)]
    return {name: column[is_new] for name, column in drawn.items()}


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
            arbitrary[name] = np.array([f"text {value}" for value in random.integers(0, LARGEST, count)], dtype=object)
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


def _draw_column(column: Tensor, count: int, random: np.random.Generator) -> Tensor:
    if column.dtype.kind == "O":
        return _draw_category(column, count, random)
    finite = column[np.isfinite(column)] if column.dtype.kind == "f" else column
    if len(finite) == 0:
        return np.zeros(count, dtype=column.dtype)
    if len(np.unique(finite)) <= FEW_VALUES:
        return _draw_category(finite, count, random)
    bins = max(1, min(MOST_BINS, len(finite) // SMALLEST_GROUP))
    edges = np.quantile(finite.astype(np.float64), np.linspace(0.01, 0.99, bins + 1))
    chosen = random.integers(0, bins, count)
    drawn = random.uniform(edges[chosen], edges[chosen + 1])
    is_whole = bool((finite == np.floor(finite)).all())
    return (np.round(drawn) if is_whole else drawn).astype(column.dtype)


def _draw_category(column: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """Draw from the values that enough rows share, as often as they do; if none is shared, from the most frequent."""
    values, counts = np.unique(column, return_counts=True)
    frequent = counts >= min(SMALLEST_GROUP, counts.max())
    return random.choice(values[frequent], count, p=counts[frequent] / counts[frequent].sum())
