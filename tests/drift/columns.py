"""What columns of a table look like: thirty that cover what clinics and shops send, drawn anew for each seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnxlet.values.tensors import Tensor, Tensors

Generator = np.random.Generator
COLUMNS = 30
_WARDS = np.array(["north", "south", "east", "west", "other"], dtype=object)
_CODES = np.array([f"code-{number:02d}" for number in range(40)], dtype=object)
_SHARED = 0.5
"""Of the variance of the numbers that depend on each other."""


def normal(generator: Generator, rows: int) -> Tensor:
    """What the tables of powers are computed with."""
    return generator.normal(size=rows)


def lognormal(generator: Generator, rows: int) -> Tensor:
    """Skewed, as amounts are."""
    return generator.lognormal(0, 1, rows)


def heavy(generator: Generator, rows: int) -> Tensor:
    """Student's t of three degrees: a variance and no more."""
    return generator.standard_t(3, rows)


def ages(generator: Generator, rows: int) -> Tensor:
    """Whole numbers, of which many are equal."""
    return generator.normal(60, 12, rows).round().clip(18, 100)


def doses(generator: Generator, rows: int) -> Tensor:
    """Two thirds of zeros."""
    return np.where(generator.random(rows) < 2 / 3, 0.0, generator.gamma(2, 3, rows))


def flags(generator: Generator, rows: int) -> Tensor:
    """Zeros and ones."""
    return (generator.random(rows) < 0.1).astype(np.float64)


NUMBERS: dict[str, Callable[[Generator, int], Tensor]] = {
    "normal": normal,
    "lognormal": lognormal,
    "heavy tails": heavy,
    "whole numbers": ages,
    "two thirds zeros": doses,
}


def table(generator: Generator, rows: int) -> Tensors:
    """Thirty columns: ten numbers that depend on each other, fourteen that do not, some with gaps, and six of texts."""
    shared = generator.normal(size=rows)
    columns: Tensors = {
        f"lab-{place}": _SHARED**0.5 * shared + (1 - _SHARED) ** 0.5 * generator.normal(size=rows)
        for place in range(10)
    }
    kinds = [*NUMBERS.values(), flags, normal]
    for place in range(14):
        columns[f"number-{place}"] = kinds[place % len(kinds)](generator, rows)
    for place in (0, 5, 9):
        columns[f"number-{place}"][generator.random(rows) < 0.05] = np.nan
    for place in range(3):
        columns[f"ward-{place}"] = generator.choice(_WARDS, rows, p=[0.4, 0.3, 0.2, 0.07, 0.03])
    shares = 1 / np.arange(1, len(_CODES) + 1)
    for place in range(3):
        columns[f"code-{place}"] = generator.choice(_CODES, rows, p=shares / shares.sum())
    return columns
