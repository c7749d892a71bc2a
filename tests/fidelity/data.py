"""Real data that packages ship: rows to train on, held-out ones that users would give, and fresh ones of neither."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

from fidelity.case import SEED

Array = npt.NDArray[Any]
TARGET = "target"
FRESH = 0.2
HELD_OUT = 0.375
"""Of the rows that are not fresh, so that half of all train."""
CROSSED = 1000
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
    """A data set in three parts; rows are an array, or a DataFrame."""

    names: tuple[str, ...]
    train: Any
    train_target: Array
    test: Any
    test_target: Array
    fresh: Any

    def csv(self, folder: Path) -> Path:
        """The held-out rows as a CSV file with a header; missing values are empty cells."""
        return write_csv(folder / "held-out.csv", self.names, self.test, self.test_target)

    def npz(self, folder: Path, **arrays: Array) -> Path:
        """The held-out rows' target beside arrays of theirs."""
        path = folder / "held-out.npz"
        np.savez(path, allow_pickle=False, **{TARGET: self.test_target}, **arrays)
        return path

    def framed(self) -> Data:
        """The same rows as DataFrames."""
        train, test, fresh = (pd.DataFrame(rows, columns=self.names) for rows in (self.train, self.test, self.fresh))
        return Data(self.names, train, self.train_target, test, self.test_target, fresh)


@cache
def real(name: str, *, holes: float = 0) -> Data:
    """One of scikit-learn's own data sets; `holes` is the share of values that are missing."""
    bunch = _LOADERS[name]()
    features = np.asarray(bunch.data, dtype=np.float64)
    features = np.where(np.random.default_rng(SEED).random(features.shape) < holes, np.nan, features)
    return divide(tuple(map(str, bunch.feature_names)), features, bunch.target, crossed=name != "digits")


def divide(names: tuple[str, ...], rows: Any, target: Array, *, crossed: bool = True) -> Data:  # noqa: ANN401 - an array or a frame
    """Rows in three parts; of pictures, say, fresh ones are not `crossed`."""
    classes = target if len(np.unique(target)) * 10 < len(target) else None
    known, fresh, known_target, _ = train_test_split(rows, target, test_size=FRESH, random_state=SEED, stratify=classes)
    train, test, train_target, test_target = train_test_split(
        known, known_target, test_size=HELD_OUT, random_state=SEED, stratify=None if classes is None else known_target
    )
    return Data(names, train, train_target, test, test_target, cross(fresh) if crossed else fresh)


def cross(rows: Any) -> Any:  # noqa: ANN401 - an array or a frame
    """The rows, and so many more that there are CROSSED, each cell of which is that of one of two rows.

    They lie between classes, where labels are decided by little.
    """
    random = np.random.default_rng(SEED)
    parents = random.integers(0, len(rows), (2, CROSSED - len(rows)))
    chosen = random.integers(0, 2, (CROSSED - len(rows), rows.shape[1]))
    places = np.take_along_axis(parents.T, chosen, axis=1)
    if isinstance(rows, pd.DataFrame):
        crossed = {name: rows[name].iloc[places[:, column]].array for column, name in enumerate(rows)}
        return pd.concat([rows, pd.DataFrame(crossed)], ignore_index=True)
    return np.concatenate([rows, np.take_along_axis(rows, places, axis=0)])


def write_csv(path: Path, names: tuple[str, ...], rows: Any, target: Array) -> Path:  # noqa: ANN401 - an array or a frame
    """A table with a target."""
    pd.DataFrame(rows, columns=list(names)).assign(**{TARGET: target}).to_csv(path, index=False)
    return path


def images(pixels: Array) -> Array:
    """Rows of 64 pixels as pictures [rows, 8, 8] of numbers up to 1."""
    return (pixels.reshape(-1, 8, 8) / 16).astype(np.float32)


@dataclass(frozen=True)
class Texts:
    """Lines of text in three parts, and what each is about."""

    names: tuple[str, ...]
    train: tuple[str, ...]
    train_target: Array
    test: tuple[str, ...]
    test_target: Array
    fresh: tuple[str, ...]


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
    known, fresh, target, _ = train_test_split(lines, np.array(list(found.values())), test_size=0.15, random_state=SEED)
    train, test, train_target, test_target = train_test_split(known, target, test_size=0.45, random_state=SEED)
    return Texts(tuple(_LOADERS), tuple(train), train_target, tuple(test), test_target, tuple(fresh))
