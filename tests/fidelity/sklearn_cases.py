"""scikit-learn, and a graph that is taken as it is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from fidelity import sklearn_columns, sklearn_families, sklearn_targets, sklearn_unsupervised
from fidelity.case import Case, Fresh, Trained
from fidelity.data import Array, real
from fidelity.estimators import Estimator, fitted
from onnxlet.toolchain.convert import convert


def cases() -> Iterator[Case]:
    """All of them."""
    yield from sklearn_families.cases()
    yield from sklearn_columns.cases()
    yield from sklearn_targets.cases()
    yield from sklearn_unsupervised.cases()
    yield Case("a perceptron's graph", "ONNX", "digits", partial(_graph, sklearn_families.perceptron((64,))))


def _graph(estimator: Estimator, folder: Path) -> Trained:
    """An estimator's graph, which arrives without the estimator."""
    data = real("digits")
    trained = fitted(estimator, "digits", folder)
    convert(trained.source, folder / "graph", trust=True)
    rows = data.npz(folder, features=data.test.astype(np.float32))
    expected, fresh = (_answers(estimator, part) for part in (data.test, data.fresh))
    asked = Fresh(data.fresh.astype(np.float32), fresh["label"], {"probabilities": fresh["probabilities"]})
    told = {"expected": expected}
    return Trained(folder / "graph" / "model.onnx", rows, None, trained.alone, asked, told)


def _answers(estimator: Estimator, rows: Array) -> dict[str, Array]:
    return {"label": estimator.predict(rows), "probabilities": estimator.predict_proba(rows)}
