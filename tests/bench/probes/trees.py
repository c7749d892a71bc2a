"""Explains trees by ours and by shap, in turn in one process; prints seconds as JSON."""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", ORT_DISABLE_TELEMETRY="1")

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import xgboost
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import shap

import onnxlet
from onnxlet.explain.trees.interventional import Interventional
from onnxlet.explain.trees.path_dependent import PathDependent
from onnxlet.toolchain.prepare.trees.nodes import KINDS, read_trees

COLUMNS, TREES, BACKGROUND, MANY, ROUNDS = 30, 300, 100, 1000, 3
OURS = "import onnxlet, numpy, sys; onnxlet.load(sys.argv[1], store=sys.argv[2]).explain(numpy.load(sys.argv[3])[:1])"
SHAPS = (
    "import warnings; warnings.simplefilter('ignore'); import shap, joblib, numpy, sys; "
    "shap.TreeExplainer(joblib.load(sys.argv[1])).shap_values(numpy.load(sys.argv[2])[:1])"
)
MODELS = {
    **{
        f"forest, depth {depth}": RandomForestClassifier(TREES, max_depth=depth, random_state=0)
        for depth in (8, 10, 12)
    },
    "boosted, depth 6": xgboost.XGBClassifier(n_estimators=TREES, max_depth=6, n_jobs=1),
    "leaf-wise": HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False),
}


def fastest(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least seconds of each, taken in turn."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def explained(model: Any, rows: Any, graph: Path) -> dict[str, dict[str, float]]:  # noqa: ANN401 - no types there
    """Seconds by what is explained, and by whom."""
    [node] = [each for each in onnx.load(graph).graph.node if each.op_type in KINDS]
    ensemble = read_trees(node, np.dtype(np.float32))
    single, background = rows.astype(np.float32), rows[-BACKGROUND:]
    path, theirs = PathDependent(ensemble, np.arange(COLUMNS), COLUMNS), shap.TreeExplainer(model)
    against = Interventional(ensemble, np.arange(COLUMNS), COLUMNS, single[-BACKGROUND:])
    their_against = shap.TreeExplainer(model, background, feature_perturbation="interventional")
    return {
        f"{what}, {count} rows": fastest(
            {
                "ours": partial(ours.explain, single[:count]),
                "shap": partial(peer.shap_values, rows[:count], check_additivity=False),
            }
        )
        for what, ours, peer, counts in (
            ("by path", path, theirs, (1, MANY)),
            ("against 100 rows", against, their_against, (1,)),
        )
        for count in counts
    }


def first(model: Any, rows: Any, folder: Path, converted: Path) -> dict[str, float]:  # noqa: ANN401 - likewise
    """Seconds of a process that explains one row."""
    store = (folder / "store").as_uri()
    onnxlet.publish(converted, "trees", store=store)
    np.save(folder / "rows.npy", rows)
    np.save(folder / "singles.npy", rows.astype(np.float32))
    joblib.dump(model, folder / "model.joblib")
    ours = [sys.executable, "-c", OURS, "trees:1", store, str(folder / "singles.npy")]
    shaps = [sys.executable, "-c", SHAPS, str(folder / "model.joblib"), str(folder / "rows.npy")]
    return fastest(
        {
            "ours": lambda: subprocess.run(ours, check=True, capture_output=True),
            "shap": lambda: subprocess.run(shaps, check=True, capture_output=True),
        }
    )


def main(folder: Path) -> None:
    """Train, convert, explain."""
    rows, target = make_classification(2000, COLUMNS, n_informative=12, random_state=0, flip_y=0.1)
    rows = rows.astype(np.float32).astype(np.float64)
    found: dict[str, Any] = {}
    for number, (name, model) in enumerate(MODELS.items()):
        converted = folder / str(number)
        onnxlet.convert(model.fit(rows, target), converted)
        found[name] = explained(model, rows, converted / "model.onnx")
        if name == "forest, depth 10":
            found["a fresh process"] = {"first, 1 rows": first(model, rows, folder, converted)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
