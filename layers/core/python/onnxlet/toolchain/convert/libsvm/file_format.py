"""LIBSVM's model files: a header of names and values, `SV`, then one support vector per line as index:value pairs.

The format is what svm_save_model in LIBSVM's svm.cpp writes; indices count from 1 and what is left out is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.values.tensors import Tensor

CLASSIFIERS = ("c_svc", "nu_svc")
REGRESSORS = ("epsilon_svr", "nu_svr")
KERNELS = ("linear", "polynomial", "rbf", "sigmoid")


@dataclass(frozen=True)
class Kernel:
    """The kernel function and its parameters."""

    name: str
    degree: int
    gamma: float
    coef0: float


@dataclass(frozen=True)
class SupportVectors:
    """A model as its file has it.

    `weights` is [support vectors, pairs]: one column per pair of classes (i, j), i < j, in the order of `labels`, or
    a regressor's only one.
    """

    kind: str
    kernel: Kernel
    labels: tuple[int, ...]
    vectors: Tensor
    weights: Tensor
    rho: Tensor
    slopes: Tensor | None
    """probA, per pair; None without probabilities."""
    offsets: Tensor | None
    """probB."""

    @property
    def classifies(self) -> bool:
        """Whether it is a classifier."""
        return self.kind in CLASSIFIERS

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Positions of the classes that each column of the weights tells apart."""
        return pairs_of(len(self.labels))


def pairs_of(classes: int) -> list[tuple[int, int]]:
    """All pairs (i, j), i < j, of so many classes, in LIBSVM's order."""
    return [(i, j) for i in range(classes) for j in range(i + 1, classes)]


def parse_model(text: str) -> SupportVectors:
    """Read a model file. Raises ValueError or KeyError for what is none, ConversionError for what is not converted."""
    head, mark, body = text.partition("\nSV\n")
    if not mark:
        raise ValueError("it has no support vectors")
    if not body.endswith("\n"):
        raise ValueError("its last line has no end")
    header = {name: values.split() for name, _, values in (line.partition(" ") for line in head.splitlines())}
    kind, kernel = header["svm_type"][0], header["kernel_type"][0]
    _check_kinds(kind, kernel)
    counts = [int(value) for value in header.get("nr_sv", header["total_sv"])]
    classes = int(header["nr_class"][0])
    pairs = classes * (classes - 1) // 2 if kind in CLASSIFIERS else 1
    coefficients, vectors = _parse_vectors(body.splitlines(), max(classes - 1, 1) if kind in CLASSIFIERS else 1)
    if len(vectors) != int(header["total_sv"][0]) or sum(counts) != len(vectors):
        raise ValueError(f"it has {len(vectors)} support vectors, not {header['total_sv'][0]}")
    return SupportVectors(
        kind=kind,
        kernel=Kernel(
            kernel,
            int(header.get("degree", ["3"])[0]),
            float(header.get("gamma", ["0"])[0]),
            float(header.get("coef0", ["0"])[0]),
        ),
        labels=tuple(map(int, header["label"])) if kind in CLASSIFIERS else (),
        vectors=vectors,
        weights=_pairwise(coefficients, counts) if kind in CLASSIFIERS else coefficients,
        rho=_parse_numbers(header["rho"], pairs),
        slopes=_parse_numbers(header["probA"], pairs) if "probA" in header and kind in CLASSIFIERS else None,
        offsets=_parse_numbers(header["probB"], pairs) if "probB" in header and kind in CLASSIFIERS else None,
    )


def _check_kinds(kind: str, kernel: str) -> None:
    if kind not in (*CLASSIFIERS, *REGRESSORS):
        raise ConversionError(
            f"LIBSVM's {kind!r} is neither a classifier nor a regressor: {', '.join((*CLASSIFIERS, *REGRESSORS))} are "
            "converted"
        )
    if kernel not in KERNELS:
        raise ConversionError(
            f"LIBSVM's kernel {kernel!r} is not converted: its file does not hold the rows that it was computed from; "
            f"train with one of {', '.join(KERNELS)}"
        )


def _parse_vectors(lines: Iterable[str], coefficients: int) -> tuple[Tensor, Tensor]:
    """The coefficients [vectors, coefficients] and the vectors [vectors, features]."""
    numbers, rows, width = [], [], 1
    for line in lines:
        cells = line.split()
        numbers.append([float(cell) for cell in cells[:coefficients]])
        row = {}
        for cell in cells[coefficients:]:
            index, _, value = cell.partition(":")
            row[int(index)] = float(value)
        if row and min(row) < 1:
            raise ValueError("indices of features count from 1")
        width = max(width, *row) if row else width
        rows.append(row)
    vectors = np.zeros((len(rows), width))
    for number, row in enumerate(rows):
        vectors[number, [index - 1 for index in row]] = list(row.values())
    return np.array(numbers, dtype=np.float64).reshape(len(rows), coefficients), vectors


def _pairwise(coefficients: Tensor, counts: list[int]) -> Tensor:
    """One column per pair of classes: each class's vectors have one coefficient against every other class."""
    pairs = pairs_of(len(counts))
    weights = np.zeros((len(coefficients), len(pairs)))
    ends = np.cumsum(counts)
    for column, (i, j) in enumerate(pairs):
        of_i, of_j = slice(ends[i] - counts[i], ends[i]), slice(ends[j] - counts[j], ends[j])
        weights[of_i, column] = coefficients[of_i, j - 1]
        weights[of_j, column] = coefficients[of_j, i]
    return weights


def _parse_numbers(values: list[str], count: int) -> Tensor:
    if len(values) != count:
        raise ValueError(f"it has {len(values)} values where {count} are expected")
    return np.array(values, dtype=np.float64)
