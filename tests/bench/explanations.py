"""Row 17: one row explained by sampling against shap's KernelExplainer, which asks the same session."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from row import Row, interleaved
from sklearn.neural_network import MLPClassifier

from onnxlet.explain.background import decode_background
from onnxlet.explain.request import ExplanationRequest
from onnxlet.registry.registry import Registry
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.refs import parse_ref
from onnxlet.values.tensors import Tensor

FEATURES = 30
EVALUATIONS = 5_800


def explanation_rows() -> list[Row]:
    """Row 17, one thread."""
    import shap

    with tempfile.TemporaryDirectory() as folder:
        model, background, row = _network(Path(folder))
        names = [spec.name for spec in model.signatures["columns"].inputs]

        def probabilities(rows: Tensor) -> Tensor:
            inputs = {"features": rows.astype(np.float32)}
            return model.predict(inputs, outputs=["probabilities"])["probabilities"]

        kernel = shap.KernelExplainer(probabilities, background)
        sent = {name: row[:, place].astype(np.float32) for place, name in enumerate(names)}
        request = ExplanationRequest("sampled", max_evaluations=EVALUATIONS)
        best = interleaved(
            {
                "sampled": lambda: _seconds(lambda: model.explain(sent, "columns", request)),
                "KernelExplainer": lambda: _seconds(lambda: kernel.shap_values(row, silent=True)),
            }
        )
    parts = {f"{who}, ms": seconds * 1e3 for who, seconds in best.items()}
    name = f"explained by sampling, a network of {FEATURES} features, {EVALUATIONS} evaluations / KernelExplainer"
    return [Row(17, name, best["sampled"] / best["KernelExplainer"], 0.1, "ratio", parts={**parts})]


def _network(folder: Path) -> tuple[Model, Tensor, Tensor]:
    """A trained network, served, with its background and a row."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(1000, FEATURES)).astype(np.float32).astype(np.float64)
    target = np.tanh(rows[:, 0] * rows[:, 1]) + rows[:, 2:8].sum(axis=1) > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = MLPClassifier(hidden_layer_sizes=(32,), max_iter=100, random_state=0).fit(rows, target)
    data = folder / "rows.csv"
    np.savetxt(data, rows, delimiter=",", header=",".join(f"f{place}" for place in range(FEATURES)), comments="")
    convert(network, folder / "out", data=data)
    store = open_store((folder / "store").as_uri())
    Registry(store, who="bench").publish("network", *prepare(folder / "out", folder / "prepared"))
    predictor = Predictor(store, Settings(cache_dir=str(folder / "cache")))
    model = predictor.load(parse_ref("network:1")).model
    columns = decode_background((folder / "out" / "explain.background.json").read_bytes())
    return model, np.stack(list(columns.values()), axis=1).astype(np.float64), rows[:1]


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
