"""Explanations of published versions, against the shap package: its TreeExplainer, in double precision."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier

import onnxlet
from onnxlet.explain.background import decode_background
from onnxlet.values.tensors import Tensor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of matplotlib, about what shap asks of it
    import shap

pytestmark = [pytest.mark.boosting, pytest.mark.filterwarnings("ignore")]

NAMES = list("abcdef")
TOLERANCE, SINGLE = 1e-6, 1e-5
"""Of shap's algorithms, in double precision, and of XGBoost's own, in single; times the largest above 1."""
RNG = np.random.default_rng(0)
WHOLE = pd.DataFrame(RNG.normal(size=(600, 6)).astype(np.float32).astype(np.float64), columns=NAMES)
HOLED = WHOLE.mask(RNG.random(WHOLE.shape) < 0.1)
SCORE = np.asarray(WHOLE["a"] + WHOLE["b"] * WHOLE["c"])
ASKED = 25
TWO, THREE = SCORE > 0, np.digitize(SCORE, [-0.5, 0.5])

MODELS: dict[str, tuple[BaseEstimator, pd.DataFrame, Tensor]] = {
    "a tree": (DecisionTreeClassifier(max_depth=6, random_state=0), WHOLE, TWO),
    "a forest": (RandomForestClassifier(30, max_depth=8, random_state=0), WHOLE, TWO),
    "a forest of three classes": (RandomForestClassifier(30, max_depth=8, random_state=0), WHOLE, THREE),
    "a forest with missing values": (RandomForestClassifier(30, max_depth=8, random_state=0), HOLED, TWO),
    "a forest of numbers": (RandomForestRegressor(30, max_depth=8, random_state=0), WHOLE, SCORE),
    "extra trees": (ExtraTreesRegressor(30, max_depth=8, random_state=0), WHOLE, SCORE),
    "boosting": (GradientBoostingClassifier(n_estimators=30, random_state=0), WHOLE, TWO),
    "boosting of numbers": (GradientBoostingRegressor(n_estimators=30, random_state=0), WHOLE, SCORE),
    "histograms": (HistGradientBoostingClassifier(max_iter=30), HOLED, TWO),
    "histograms of three classes": (HistGradientBoostingClassifier(max_iter=30), HOLED, THREE),
    "histograms of numbers": (HistGradientBoostingRegressor(max_iter=30), HOLED, SCORE),
    "XGBoost": (xgboost.XGBClassifier(n_estimators=30, max_depth=5), HOLED, TWO),
    "XGBoost of three classes": (xgboost.XGBClassifier(n_estimators=30, max_depth=5), HOLED, THREE),
    "LightGBM": (lightgbm.LGBMClassifier(n_estimators=30, verbose=-1), HOLED, TWO),
    "LightGBM of three classes": (lightgbm.LGBMClassifier(n_estimators=30, verbose=-1), HOLED, THREE),
}
TWO_CLASSES = ["boosting", "histograms", "XGBoost", "LightGBM"]


def shipped(name: str, folder: Path) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """The version in memory, rows to ask about, and its background."""
    model, rows, target = MODELS[name]
    model.fit(rows, target)
    onnxlet.convert(model, folder / "converted", data=rows)
    onnxlet.publish(folder / "converted", "m", store=(folder / "store").as_uri())
    background = decode_background((folder / "converted" / "explain.background.json").read_bytes())
    return onnxlet.load("m:1", store=(folder / "store").as_uri()), rows[:ASKED], pd.DataFrame(background)[NAMES]


def by_classes(values: Any, found: Tensor) -> Tensor:
    """Shapley values of shap as [rows, columns, classes]: of two classes it may tell those of the second alone."""
    own = np.asarray(values)
    own = own[:, :, None] if own.ndim == 2 else own
    return np.concatenate([-own, own], axis=2) if own.shape[2] < found.shape[2] else own


def assert_near(found: Tensor, own: Tensor, tolerance: float) -> None:
    np.testing.assert_allclose(found, own, rtol=0, atol=tolerance * max(1.0, float(abs(own).max())))


@pytest.mark.parametrize("name", MODELS)
def test_values_by_path_are_those_of_shap(name: str, tmp_path: Path) -> None:
    version, rows, _ = shipped(name, tmp_path)

    told = version.explain(rows)

    own = shap.TreeExplainer(MODELS[name][0], feature_perturbation="tree_path_dependent").shap_values(rows)
    assert told.method == "trees"
    tolerance = SINGLE if name.startswith("XGBoost") else TOLERANCE
    assert_near(told.attributions, by_classes(own, told.attributions), tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_values_against_the_background_are_those_of_shap(name: str, tmp_path: Path) -> None:
    version, rows, background = shipped(name, tmp_path)

    told = version.explain(rows, method="trees-interventional")

    explainer = shap.TreeExplainer(MODELS[name][0], background, feature_perturbation="interventional")
    own = explainer.shap_values(rows, check_additivity=False)
    assert_near(told.attributions, by_classes(own, told.attributions), TOLERANCE)


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_values_in_probabilities_are_those_of_shap(name: str, tmp_path: Path) -> None:
    version, rows, background = shipped(name, tmp_path)

    told = version.explain(rows, method="trees-interventional", scale="output")

    explainer = shap.TreeExplainer(
        MODELS[name][0], background, feature_perturbation="interventional", model_output="probability"
    )
    own = explainer.shap_values(rows, check_additivity=False)
    assert told.unit == "probability"
    assert_near(told.attributions, by_classes(own, told.attributions), TOLERANCE)
