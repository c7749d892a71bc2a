"""Explanations against the shap package, which never runs where models are served.

`ONNXLET_EXPLAINED_CASES=200` asks for as many cases of what is sampled; 40 are in the suite.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import onnxlet
import trained
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scoring import Options
from onnxlet.explain.background import decode_background
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.refs import parse_ref

shap = pytest.importorskip("shap")
pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
CASES = int(os.environ.get("ONNXLET_EXPLAINED_CASES", "40"))
WITHIN = 0.92


def shipped(folder: Path, estimator: Any, rows: pd.DataFrame) -> tuple[Any, Any]:  # noqa: ANN401
    """The version, loaded, and its background in float64."""
    convert(estimator, folder / "out", data=rows)
    registry = Registry(open_store((folder / "store").as_uri()), who="tests")
    registry.publish("model", *prepare(folder / "out", folder / "prepared"))
    columns = decode_background((folder / "out" / "explain.background.json").read_bytes())
    background = np.stack([tensor.astype(np.float64) for tensor in columns.values()], axis=1)
    return onnxlet.load("model:1", store=folder / "store"), background


def frame_of(features: Any) -> pd.DataFrame:  # noqa: ANN401
    """The features by name."""
    return pd.DataFrame(features, columns=[f"f{place}" for place in range(features.shape[1])])


def table_of(features: int) -> tuple[pd.DataFrame, Any]:
    """Rows, and a target that depends on some of their columns together."""
    random = np.random.default_rng(0)
    rows = frame_of(random.normal(size=(400, features)).astype(np.float32).astype(np.float64))
    return rows, np.tanh(rows["f0"] * rows["f1"]) + rows["f2"] * (rows["f3"] > 0) + rows["f4"]


def network(features: int) -> tuple[Any, pd.DataFrame]:
    """A network with interactions, and rows."""
    from sklearn.neural_network import MLPRegressor

    rows, target = table_of(features)
    return trained.fitted(MLPRegressor(hidden_layer_sizes=(24,), random_state=0), rows, target), rows


def test_linear_attributions_are_those_of_its_linear_explainer(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    features, target = trained.blobs(classes=3)
    rows = frame_of(features)
    estimator = LogisticRegression().fit(rows, target)
    loaded, background = shipped(tmp_path, estimator, rows)
    explained = loaded.explain(rows[:50])
    masker = shap.maskers.Independent(background, max_samples=len(background))
    expected = shap.LinearExplainer(estimator, masker).shap_values(rows[:50].to_numpy())
    assert explained.method == "linear"
    assert np.abs(explained.attributions - expected).max() <= 1e-6 * max(1.0, np.abs(expected).max())


def test_attributions_in_a_scored_file_are_those_of_its_tree_explainer(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestRegressor

    rows, target = table_of(8)
    estimator = trained.fitted(RandomForestRegressor(20, max_depth=5, random_state=0), rows, target)
    shipped(tmp_path, estimator, rows)
    rows.to_parquet(tmp_path / "rows.parquet")
    predictor = Workspace((tmp_path / "store").as_uri()).make_predictor()
    score_path(
        predictor,
        parse_ref("model:1"),
        tmp_path / "rows.parquet",
        tmp_path / "scored.parquet",
        options=Options(explain={}),
    )
    scored = pd.read_parquet(tmp_path / "scored.parquet")
    explainer = shap.TreeExplainer(estimator)
    found = scored[[f"attribution_{name}" for name in rows.columns]].to_numpy()
    assert np.abs(found - explainer.shap_values(rows.to_numpy())).max() <= 1e-5
    assert np.abs(scored["expected"] - float(np.ravel(explainer.expected_value)[0])).max() <= 1e-5
    assert np.abs(found.sum(axis=1) + scored["expected"] - scored["explained"]).max() <= 1e-9


@pytest.mark.long
def test_exact_attributions_are_those_of_its_exact_explainer(tmp_path: Path) -> None:
    estimator, rows = network(6)
    loaded, background = shipped(tmp_path, estimator, rows)
    explained = loaded.explain(rows[:10], method="exact")
    expected = exact_values(estimator, background, rows[:10])
    # the version computes in single precision
    assert np.abs(explained.attributions[:, :, 0] - expected).max() <= 1e-5


def test_sampled_attributions_lie_within_their_intervals(tmp_path: Path) -> None:
    estimator, rows = network(10)
    loaded, background = shipped(tmp_path, estimator, rows)
    cases = rows[:CASES]
    expected = exact_values(estimator, background, cases)
    inside = []
    for case in range(len(cases)):
        explained = loaded.explain(cases[case : case + 1], method="sampled", seed=case)
        assert explained.pairs == 100
        inside.append(np.abs(explained.attributions[0, :, 0] - expected[case]) <= explained.interval[0, :, 0] + 1e-5)
    assert np.mean(inside) >= WITHIN
    print(f"{np.mean(inside):.4f} of {np.size(inside)} within")  # noqa: T201 - the figure of the long run


def exact_values(estimator: Any, background: Any, rows: pd.DataFrame) -> Any:  # noqa: ANN401
    """What shap's Exact explainer gives for the estimator itself."""
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.explainers.Exact(lambda each: estimator.predict(frame_of(each)), masker)
    return explainer(rows.to_numpy()).values  # noqa: PD011 - shap's own
