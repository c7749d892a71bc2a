"""The demo's models, trained here on data that scikit-learn ships: a diagnosis of breast cancer and the progression of
diabetes. Their held-out rows are kept as CSV files with a header, the target in the last column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onnxlet.errors import MissingExtraError

HELD_OUT = 0.2
SEED = 7


@dataclass(frozen=True, slots=True)
class Trained:
    """A model's file, the held-out rows that it never saw, their target column, and what it is in words."""

    model: Path
    held_out: Path
    target: str
    words: str


def train_all(directory: Path) -> dict[str, Trained]:
    """Train the demo's models into `directory`: `diagnosis`, a `diagnosis-2` that was stopped too early, `progression`.

    Raises MissingExtraError without scikit-learn.
    """
    directory.mkdir(parents=True, exist_ok=True)
    return {
        "diagnosis": train_diagnosis(directory, "diagnosis"),
        "diagnosis-2": train_diagnosis(directory, "diagnosis-2", rounds=2),
        "progression": train_progression(directory),
    }


def train_diagnosis(directory: Path, name: str, *, rounds: int = 25) -> Trained:
    """A scaler and a neural network on the breast cancer data (569 biopsies, 30 measures of cell nuclei each)."""
    sklearn = _sklearn()
    data = sklearn.datasets.load_breast_cancer()
    names = data.target_names[data.target]
    split = sklearn.model_selection.train_test_split(
        data.data, names, test_size=HELD_OUT, random_state=SEED, stratify=names
    )
    network = sklearn.neural_network.MLPClassifier((256, 128), alpha=1.0, max_iter=rounds, random_state=SEED)
    pipeline = sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), network)
    words = f"scaler + MLP (256, 128), {rounds} rounds"
    return _fit(pipeline, data.feature_names, split, _trained(directory, name, "diagnosis", words))


def train_progression(directory: Path) -> Trained:
    """Gradient boosting on the diabetes data (442 patients, 10 measures, the progression after a year)."""
    sklearn = _sklearn()
    data = sklearn.datasets.load_diabetes(scaled=False)
    split = sklearn.model_selection.train_test_split(data.data, data.target, test_size=HELD_OUT, random_state=SEED)
    trees = sklearn.ensemble.GradientBoostingRegressor(random_state=SEED, n_estimators=80, max_depth=2)
    words = "gradient boosting, 80 trees"
    return _fit(trees, data.feature_names, split, _trained(directory, "progression", "progression", words))


def _trained(directory: Path, name: str, target: str, words: str) -> Trained:
    return Trained(directory / f"{name}.joblib", directory / f"{name}-held-out.csv", target, words)


def _fit(estimator: Any, columns: Iterable[str], split: Sequence[Any], trained: Trained) -> Trained:  # noqa: ANN401 - scikit-learn has no types
    import warnings

    import joblib
    from threadpoolctl import threadpool_limits

    rows, held_out, truth, held_out_truth = split
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # the network is stopped on purpose before it has converged
        estimator.fit(rows, truth)
    joblib.dump(estimator, trained.model)
    with trained.held_out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, trained.target])
        writer.writerows([*map(float, row), answer] for row, answer in zip(held_out, held_out_truth, strict=True))
    return replace(trained, words=f"{trained.words}, on {len(rows)} rows ({len(held_out)} held out)")


def _sklearn() -> Any:  # noqa: ANN401 - scikit-learn has no types
    try:
        import sklearn.datasets
        import sklearn.ensemble
        import sklearn.model_selection
        import sklearn.neural_network
        import sklearn.pipeline
        import sklearn.preprocessing
    except ImportError as error:
        raise MissingExtraError("the demo trains its models with scikit-learn, which is not installed") from error
    return sklearn
