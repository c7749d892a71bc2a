"""Real data that packages ship: half to train on, half that is held out and written as users would give it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import datasets
from sklearn.model_selection import train_test_split

from fidelity.case import SEED

Array = npt.NDArray[Any]
TARGET = "target"
HELD_OUT = 0.4
_LOADERS = {
    "breast cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
}
SHORTEST = 4
"""Words of a line that is taken for a text."""


@dataclass(frozen=True)
class Data:
    """A data set in two parts."""

    names: tuple[str, ...]
    train: Array
    train_target: Array
    test: Array
    test_target: Array

    def csv(self, folder: Path) -> Path:
        """The held-out rows as a CSV file with a header; missing values are empty cells."""
        return write_csv(folder / "held-out.csv", self.names, self.test, self.test_target)

    def npz(self, folder: Path, **arrays: Array) -> Path:
        """The held-out rows' target beside arrays of theirs."""
        path = folder / "held-out.npz"
        np.savez(path, allow_pickle=False, **{TARGET: self.test_target}, **arrays)
        return path


@cache
def real(name: str, *, holes: float = 0) -> Data:
    """One of scikit-learn's own data sets; `holes` is the share of values that are missing."""
    bunch = _LOADERS[name]()
    features = np.asarray(bunch.data, dtype=np.float64)
    features = np.where(np.random.default_rng(SEED).random(features.shape) < holes, np.nan, features)
    classes = None if name == "diabetes" else bunch.target
    train, test, known, truth = train_test_split(
        features, bunch.target, test_size=HELD_OUT, random_state=SEED, stratify=classes
    )
    return Data(tuple(map(str, bunch.feature_names)), train, known, test, truth)


def write_csv(path: Path, names: tuple[str, ...], rows: Array, target: Array) -> Path:
    """A table with a target."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, TARGET])
        for row, value in zip(rows.tolist(), target.tolist(), strict=True):
            writer.writerow(["" if _is_missing(cell) else cell for cell in row] + [value])
    return path


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and np.isnan(cell))


def images(pixels: Array) -> Array:
    """Rows of 64 pixels as pictures [rows, 8, 8] of numbers up to 1."""
    return (pixels.reshape(-1, 8, 8) / 16).astype(np.float32)


@dataclass(frozen=True)
class Texts:
    """Lines of text in two parts, and what each is about."""

    names: tuple[str, ...]
    train: tuple[str, ...]
    train_target: Array
    test: tuple[str, ...]
    test_target: Array


@cache
def texts() -> Texts:
    """The lines of the data sets' own descriptions, and which data set each describes."""
    found = {
        line.strip(): number
        for number, load in enumerate(_LOADERS.values())
        for line in load().DESCR.splitlines()
        if len(re.findall(r"[A-Za-z]{2,}", line)) >= SHORTEST
    }
    lines = np.array(list(found), dtype=object)
    train, test, known, truth = train_test_split(
        lines, np.array(list(found.values())), test_size=HELD_OUT, random_state=SEED
    )
    return Texts(tuple(_LOADERS), tuple(train), known, tuple(test), truth)
