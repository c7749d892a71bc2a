"""Converting estimators that take missing values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import KNNImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeRegressor

from onnxlet.convert import convert
from onnxlet.prepare import prepare

pytestmark = pytest.mark.toolchain

TREES: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(10, random_state=0),
    "forest at a pipeline's end": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)),
    "forest of numbers": lambda: RandomForestRegressor(10, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(10, random_state=0),
    "extra trees of numbers": lambda: ExtraTreesRegressor(10, random_state=0),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "tree of numbers": lambda: DecisionTreeRegressor(random_state=0),
    "extra tree of numbers": lambda: ExtraTreeRegressor(random_state=0),
    "bagged trees": lambda: BaggingClassifier(DecisionTreeClassifier(), n_estimators=5, random_state=0),
}


def gaps() -> tuple[trained.Array, trained.Array]:
    """Points around two centres with a tenth of the numbers missing, and most of one feature of one class."""
    features, target = trained.blobs(rows=200, classes=2)
    random = np.random.default_rng(0)
    features[random.random(features.shape) < 0.1] = np.nan
    features[(target == 1) & (random.random(len(target)) < 0.7), 0] = np.nan
    return features, target


@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "never seen"])
def test_trees_send_missing_values_where_they_did(tmp_path: Path, make: Callable[[], Any], seen: bool) -> None:
    features, target = gaps()
    known = features[:100] if seen else np.nan_to_num(features[:100])
    path = trained.saved(trained.fitted(make(), known, target[:100]), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features[100:], target[100:])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draft = convert(path, tmp_path / "out", data=data, target="target", trust=True)

    assert draft.evaluations[-1].metrics["largest_distance"] < 1e-6


def test_thresholds_between_missing_and_present_are_written_in_double_precision_too(tmp_path: Path) -> None:
    features, target = gaps()
    scaled = features * 1e-7 + 1
    forest = trained.fitted(RandomForestClassifier(10, random_state=0), scaled, target)
    assert any(np.isinf(tree.tree_.threshold).any() for tree in forest.estimators_)
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0))
    path = trained.saved(trained.fitted(pipeline, scaled, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", scaled, target)

    draft = convert(path, tmp_path / "out", data=data, target="target", trust=True)

    assert draft.graph.inputs[0].datatype == "FP64"
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_missing_values_are_filled_in_from_neighbours(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    features[::7, 0] = features[::5, 1] = np.nan
    path = trained.saved(trained.fitted(make_pipeline(KNNImputer(), LogisticRegression()), features, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    convert(path, tmp_path / "out", data=data, target="target", trust=True)
    prepared, _ = prepare(tmp_path / "out", tmp_path / "work")

    assert prepared.evaluations[1].metrics["label_agreement"] == 1.0
    assert prepared.provenance.opset.keys() == {"ai.onnx", "ai.onnx.ml"}
