"""Small trained estimators and the CSV files that go with them."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxlet.serving.engine import load_engine
from onnxlet.serving.model import Model
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.values.manifest import Draft, Manifest

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


def converted(folder: Path, estimator: Any, features: Any, target: Any, **options: Any) -> Draft:  # noqa: ANN401
    """Fit, save, write the data with its target, and convert."""
    path = saved(fitted(estimator, features, target), folder)
    data = csv_of(folder / "data.csv", features, target)
    return convert(path, folder / "out", data=data, target="target", trust=True, **options)


def served_model(folder: Path) -> Model:
    """The converted model, as it would be served."""
    draft, _ = read_draft(folder)
    engine = load_engine(folder / "model.onnx", threads=1, optimized=False, run_deadline=10)
    fields = {field: getattr(draft, field) for field in draft.__struct_fields__}
    manifest = Manifest(**fields, model="m", version=1, created="", publisher="", artifacts=())
    return Model(manifest, engine, lambda path: (folder / path).read_bytes())
