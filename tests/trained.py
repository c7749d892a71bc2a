"""Small trained estimators and the CSV files that go with them."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def write_csv(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """A CSV file with a header."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)
    return path


def saved(estimator: Any, folder: Path) -> Path:  # noqa: ANN401
    """The estimator as a joblib file."""
    import joblib

    path = folder / "model.joblib"
    joblib.dump(estimator, path)
    return path


def fitted(estimator: Any, features: Any, target: Array) -> Any:  # noqa: ANN401
    """The estimator, fitted on float32 values so that CSV files carry them exactly."""
    with warnings.catch_warnings():
        # too few iterations for convergence are enough here, and SVC(probability=True) is deprecated but in use
        warnings.simplefilter("ignore")
        return estimator.fit(features, target)


def blobs(rows: int = 120, features: int = 4, classes: int = 3) -> tuple[Array, Array]:
    """Points around one centre per class."""
    random = np.random.default_rng(3)
    target = random.integers(0, classes, rows)
    features_ = random.normal(size=(rows, features)) + 2 * target[:, None] * (np.arange(features) % 2)
    return features_.astype(np.float32).astype(np.float64), target


def slopes(rows: int = 120, features: int = 4) -> tuple[Array, Array]:
    """Points and a noisy linear function of them."""
    random = np.random.default_rng(4)
    points = random.normal(size=(rows, features)).astype(np.float32).astype(np.float64)
    return points, 10 * points[:, 0] + random.normal(size=rows)


def feature_names(count: int = 4) -> list[str]:
    """Names with spaces, as people have them."""
    return [f"feature {index}" for index in range(count)]


def npz_of(path: Path, arrays: dict[str, Any]) -> Path:
    """The arrays by name."""
    np.savez(path, **arrays)
    return path


def csv_of(path: Path, features: Array, target: Sequence[Any] | Array | None) -> Path:
    """The features, and the target as the last column if there is one."""
    names = feature_names(features.shape[1])
    if target is None:
        return write_csv(path, names, features.tolist())
    rows = [[*row, value] for row, value in zip(features.tolist(), target, strict=True)]
    return write_csv(path, [*names, "target"], rows)
