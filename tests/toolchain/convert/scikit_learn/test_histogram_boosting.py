"""Histogram gradient boosting by categories, and with a log link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.long]


def admissions(seed: int) -> tuple[Any, Any]:
    """Patients with a ward and a code that say more than their order; some of both are missing."""
    frame, illness = patients(seed, 500, missing=0.1)
    random = np.random.default_rng(seed + 1000)
    frame.insert(1, "ward", random.choice([2.0, 3.0, 5.0, 70.0], len(frame)))
    frame["code"] = random.integers(0, 9, len(frame)).astype(np.float64)
    illness = illness + 2 * np.isin(frame["ward"], [2, 70]) + frame["code"].to_numpy() % 3
    frame.loc[random.random(len(frame)) < 0.1, "code"] = np.nan
    return frame, illness


def fresh_admissions(seed: int) -> Any:  # noqa: ANN401
    """Others, some of them with a ward and a code that nobody knows."""
    frame, _ = admissions(seed)
    frame.loc[:40, "ward"] = [4.0, -1.0, 2.5, 71.0, 1e6] * 8 + [2.0]
    frame.loc[30:70, "code"] = [9.0, -3.0, 0.5, 300.0, 3.0] * 8 + [2.0]
    return frame


@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers_split_by_categories_known_and_unknown(classes: int, tmp_path: Path) -> None:
    known, illness = admissions(1)
    stage = np.digitize(illness, np.quantile(illness, [0.4, 0.8][: classes - 1]))
    model = HistGradientBoostingClassifier(categorical_features=["ward", "code"], max_iter=8).fit(known, stage)

    convert(model, tmp_path / "out", data=known, target=stage)

    fresh = fresh_admissions(2)
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-6)
    assert any(tree.nodes["is_categorical"].any() for each in model._predictors for tree in each)  # noqa: SLF001


def test_pandas_category_type_is_a_category(tmp_path: Path) -> None:
    known, illness = admissions(3)
    typed = known.astype({"ward": "category"})
    model = HistGradientBoostingRegressor(max_iter=8).fit(typed, illness)
    convert(model, tmp_path / "out", data=typed)
    fresh, _ = admissions(4)
    served = ask_served(tmp_path / "out", fresh)["prediction"]
    np.testing.assert_allclose(served, model.predict(fresh.astype({"ward": typed["ward"].dtype})), rtol=1e-5)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
@pytest.mark.parametrize("categories", [None, ["ward"]], ids=["numbers", "categories"])
def test_counts_are_exponentials(loss: str, categories: Any, tmp_path: Path) -> None:  # noqa: ANN401
    known, illness = admissions(5)
    model = HistGradientBoostingRegressor(loss=loss, max_iter=8, categorical_features=categories)
    model.fit(known, np.abs(illness) + 0.1)
    convert(model, tmp_path / "out", data=known)
    fresh = fresh_admissions(6)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)


def test_texts_are_encoded_before_they_are_categories(tmp_path: Path) -> None:
    known, illness = admissions(7)
    known["ward"] = known["ward"].map(lambda ward: f"ward {ward:.0f}")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = ColumnTransformer([("w", encoder, ["ward"])], remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingRegressor(max_iter=8, categorical_features=[0]))
    model.fit(known, illness)
    convert(model, tmp_path / "out", data=known)
    fresh = fresh_admissions(8)
    fresh["ward"] = fresh["ward"].map(lambda ward: f"ward {ward:.0f}")
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)


def test_texts_as_categories_are_refused_with_what_to_do(tmp_path: Path) -> None:
    known, illness = admissions(9)
    known["ward"] = known["ward"].astype(str).astype("category")
    model = HistGradientBoostingRegressor(max_iter=8).fit(known, illness)
    with pytest.raises(ConversionError, match=r"HistGradientBoostingRegressor reads texts .* put an OrdinalEncoder"):
        convert(model, tmp_path / "out", data=known)


def test_decimals_halfway_between_those_that_it_was_fitted_on_fall_on_the_side_that_they_did(tmp_path: Path) -> None:
    import pandas as pd

    def readings(seed: int, scale: Any) -> Any:  # noqa: ANN401
        random = np.random.default_rng(seed)
        return pd.DataFrame({name: random.choice(scale, 500) for name in ("fever", "pulse")})

    # 39.01 lies between 39 and 39.02, and so does a threshold: single precision rounds it to another side
    scale = np.round(39 + np.arange(100) / 100, 2)
    known = readings(1, scale[::2])
    model = HistGradientBoostingClassifier(max_iter=20).fit(known, known["fever"] + known["pulse"] % 0.4 > 39.7)

    convert(model, tmp_path / "out", data=readings(2, scale[::2]))

    fresh = readings(3, scale)
    served = ask_served(tmp_path / "out", fresh)
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_encoded_texts_beside_decimals_need_no_categories(classes: int, tmp_path: Path) -> None:
    known, illness = admissions(11)
    known["ward"] = known["ward"].map(lambda ward: f"ward {ward:.0f}")
    stage = np.digitize(illness, np.quantile(illness, [0.4, 0.8][: classes - 1]))
    columns = ColumnTransformer([("w", OrdinalEncoder(), ["ward"])], remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=8)).fit(known, stage)

    convert(model, tmp_path / "out", data=known, target=stage)

    fresh, _ = admissions(12)
    fresh["ward"] = fresh["ward"].map(lambda ward: f"ward {ward:.0f}")
    served = ask_served(tmp_path / "out", fresh)
    assert served["label"].tolist() == model.predict(fresh).tolist()
    np.testing.assert_allclose(served["probabilities"], model.predict_proba(fresh), atol=1e-6)
