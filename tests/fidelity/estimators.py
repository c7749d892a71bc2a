"""Estimators, which are fitted, saved and asked in the way of scikit-learn, be they its own or a booster's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import skops.io

from fidelity.case import Fresh, Trained
from fidelity.data import TARGET, Data, real

Estimator = Any
Save = Callable[[Estimator, Path], Path]


def fitted(estimator: Estimator, name: str, folder: Path, *, holes: float = 0) -> Trained:
    """Fitted on one of the real data sets and saved."""
    data = real(name, holes=holes)
    return saved(estimator.fit(data.train, data.train_target), data, folder)


def fitted_alone(estimator: Estimator, name: str, folder: Path) -> Trained:
    """The same of an estimator that does not answer fresh rows, or is refused."""
    data = real(name)
    path = in_joblib(estimator.fit(data.train, data.train_target), folder)
    return Trained(path, data.csv(folder), TARGET, alone(estimator, data), options={"trust": True})


def saved(
    estimator: Estimator,
    data: Data,
    folder: Path,
    save: Save | None = None,
    *,
    fresh: Fresh | None = None,
    options: Mapping[str, Any] | None = None,
) -> Trained:
    """A fitted estimator in a file, by joblib unless it is told how to `save`."""
    path = (save or in_joblib)(estimator, folder)
    told = {"trust": True, **(options or {})}
    return Trained(path, data.csv(folder), TARGET, alone(estimator, data), fresh or asked(estimator, data.fresh), told)


def in_memory(estimator: Estimator, data: Data, fresh: Fresh | None = None) -> Trained:
    """A fitted estimator as it is, with the rows as they are."""
    return Trained(
        estimator, data.test, data.test_target, alone(estimator, data), fresh or asked(estimator, data.fresh)
    )


def in_joblib(estimator: Estimator, folder: Path) -> Path:
    """Saved by joblib."""
    path = folder / "model.joblib"
    joblib.dump(estimator, path)
    return path


def in_skops(estimator: Estimator, folder: Path) -> Path:
    """Saved by skops."""
    path = folder / "model.skops"
    skops.io.dump(estimator, path)
    return path


def alone(estimator: Estimator, data: Data) -> Callable[[], object]:
    """Asks the estimator for one row."""
    answer = estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.predict
    return partial(answer, data.test[:1])


def asked(estimator: Estimator, rows: Any, *methods: str) -> Fresh:  # noqa: ANN401 - an array or a frame
    """What the estimator itself predicts, and what these methods of it give, else its probabilities."""
    predicted = estimator.predict(rows)
    if methods:
        return Fresh(rows, predicted, {method: getattr(estimator, method)(rows) for method in methods})
    if not len(getattr(estimator, "classes_", ())):
        return Fresh(rows, numbers=predicted)
    given = [method for method in ("predict_proba", "decision_function") if hasattr(estimator, method)][:1]
    return Fresh(rows, predicted, {method: getattr(estimator, method)(rows) for method in given} or None)
