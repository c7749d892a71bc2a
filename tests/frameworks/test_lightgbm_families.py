"""LightGBM beyond trees of numbers: linear leaves, objectives of the user's own, names that it spells otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

import trained
from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = pytest.mark.boosting

OPTIONS: dict[str, Any] = {"n_estimators": 10, "n_jobs": 1, "verbose": -1}


def fresh_rows(seed: int, *, missing: float = 0.1) -> pd.DataFrame:
    """Patients nobody has seen, and numbers that no patient has."""
    frame, _ = patients(seed, missing=missing)
    for row, value in enumerate((0.0, 1e-6, -1e-6, 1e15, -1e15, np.nan)):
        frame.iloc[row] = value
        frame.iloc[10 + row, row % 4] = value
    return frame


def in_stages(illness: trained.Array) -> trained.Array:
    return np.digitize(illness, np.quantile(illness, [0.3, 0.7]))


@pytest.mark.parametrize("missing", [0.0, 0.1], ids=["complete", "with gaps"])
@pytest.mark.parametrize("source", ["estimator", "its own file"])
def test_linear_leaves_add_up_what_stands_in_the_row(source: str, missing: float, tmp_path: Path) -> None:
    known, illness = patients(1, missing=missing)
    model = lightgbm.LGBMRegressor(linear_tree=True, **OPTIONS).fit(known, illness)
    model.booster_.save_model(tmp_path / "model.txt")

    convert(model if source == "estimator" else tmp_path / "model.txt", tmp_path / "out", data=known)

    fresh = fresh_rows(2)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)


def test_linear_leaves_stand_beside_categories_and_classes(tmp_path: Path) -> None:
    known, illness = patients(3, missing=0.1)
    code = np.random.default_rng(3).integers(0, 5, len(known))
    known["code"] = code.astype(np.float64)
    model = lightgbm.LGBMClassifier(linear_tree=True, min_data_per_group=5, cat_smooth=1, **OPTIONS)
    model.fit(known, in_stages(illness + code % 2 * 2), categorical_feature=["code"])

    convert(model, tmp_path / "out", data=known)

    fresh = fresh_rows(4).assign(code=np.arange(300) % 7.0)
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-5)


def pull_to_target(target: Any, predicted: Any) -> Any:
    return predicted - target, np.ones_like(predicted)


def pull_to_class(target: Any, predicted: Any) -> Any:
    probability = 1 / (1 + np.exp(-predicted))
    return probability - target, probability * (1 - probability)


def pull_to_classes(target: Any, predicted: Any) -> Any:
    powers = np.exp(predicted)
    probability = powers / powers.sum(axis=1, keepdims=True)
    return probability - np.eye(3)[target.astype(int)], probability * (1 - probability)


OF_THE_USER: dict[str, Any] = {
    "numbers": (lightgbm.LGBMRegressor, pull_to_target, lambda illness: illness),
    "two classes": (lightgbm.LGBMClassifier, pull_to_class, lambda illness: in_stages(illness) > 1),
    "three classes": (lightgbm.LGBMClassifier, pull_to_classes, in_stages),
}


@pytest.mark.filterwarnings("ignore:Cannot compute class probabilities")
@pytest.mark.parametrize(("kind", "objective", "target_of"), OF_THE_USER.values(), ids=OF_THE_USER)
def test_raw_scores_are_served_where_the_objective_is_a_function(
    kind: Any, objective: Any, target_of: Any, tmp_path: Path
) -> None:
    known, illness = patients(5)
    model = kind(objective=objective, **OPTIONS).fit(known, target_of(illness))
    said: list[str] = []

    convert(model, tmp_path / "out", data=known, on_progress=said.append)
    model.booster_.save_model(tmp_path / "model.txt")
    convert(tmp_path / "model.txt", tmp_path / "of the file", data=known)

    assert any("raw scores are served" in line for line in said)
    fresh = fresh_rows(6)
    for directory in ("out", "of the file"):
        served = ask_served(tmp_path / directory, fresh)
        assert list(served) == ["prediction"]
        np.testing.assert_allclose(served["prediction"], model.predict(fresh), rtol=1e-5)


def test_what_stops_predicting_early_is_refused_by_name(tmp_path: Path) -> None:
    known, illness = patients(7)
    model = lightgbm.LGBMClassifier(pred_early_stop=True, **OPTIONS).fit(known, in_stages(illness) > 1)
    with pytest.raises(ConversionError, match=r"LGBMClassifier stops .* set_params\(pred_early_stop=False\)"):
        convert(model, tmp_path / "out", data=known)
    convert(model.set_params(pred_early_stop=False), tmp_path / "out", data=known)


@pytest.mark.parametrize("name", ["first  marker", "marker\t1", "marker\u20281", "\u3000", "é\xa0ü", "a=b"])
@pytest.mark.parametrize("source", ["estimator", "its own file"])
def test_columns_are_found_by_the_names_that_the_data_have(source: str, name: str, tmp_path: Path) -> None:
    known, illness = patients(8)
    known = known.rename(columns={"marker": name})
    model = lightgbm.LGBMRegressor(**OPTIONS).fit(known, illness)
    model.booster_.save_model(tmp_path / "model.txt")

    convert(model if source == "estimator" else tmp_path / "model.txt", tmp_path / "out", data=known)

    fresh = fresh_rows(9).rename(columns={"marker": name})
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)
