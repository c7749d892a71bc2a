"""IterativeImputer: linear steps are exact for any pattern of missing values; others are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - lets the next import be
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import trained
from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.filterwarnings("ignore:.*Early stopping criterion not reached")]


def with_gaps(seed: int, *, marker: float = np.nan) -> tuple[trained.Array, trained.Array]:
    """Patients as a matrix, with every pattern of missing values in its first rows."""
    frame, illness = patients(seed)
    frame["pressure"] += 10 * frame["marker"] + frame["age"]
    rows = frame.to_numpy().astype(np.float32).astype(np.float64)
    missing = np.random.default_rng(seed).random(rows.shape) < 0.1
    missing[:15] = (np.arange(15)[:, None] >> np.arange(4)) & 1
    rows[missing] = marker
    return rows, illness


def ask(directory: Path, rows: trained.Array) -> trained.Array:
    """What is served to the rows of the matrix, as numbers."""
    answers = trained.served_model(directory).predict({f"x{i}": rows[:, i] for i in range(rows.shape[1])}, "columns")
    return np.asarray(answers["prediction"])


@pytest.mark.parametrize(
    "imputer",
    [
        IterativeImputer(random_state=0),
        IterativeImputer(LinearRegression(), max_iter=3, random_state=0),
        IterativeImputer(Ridge(), n_nearest_features=2, imputation_order="random", random_state=0),
        IterativeImputer(min_value=0, max_value=[5, 50, 80, 150], initial_strategy="median", random_state=0),
        IterativeImputer(add_indicator=True, random_state=0),
        IterativeImputer(max_iter=0, initial_strategy="constant", fill_value=7),
    ],
    ids=["default", "linear", "nearest", "limits", "indicator", "no step"],
)
def test_missing_values_are_predicted_as_scikit_learn_predicts_them(imputer: Any, tmp_path: Path) -> None:  # noqa: ANN401
    known, illness = with_gaps(1)
    model = make_pipeline(imputer, StandardScaler(), Ridge()).fit(known, illness)

    convert(model, tmp_path / "out", data=known, target=illness)

    fresh, _ = with_gaps(2)
    rows = np.concatenate([fresh, fresh * 1.5])
    np.testing.assert_allclose(ask(tmp_path / "out", rows), model.predict(rows), rtol=2e-5)
    # alone, a row of which nothing is known keeps the first guesses
    nothing = np.full((1, 4), np.nan)
    np.testing.assert_allclose(ask(tmp_path / "out", nothing), model.predict(nothing), rtol=2e-5)


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
@pytest.mark.parametrize("keep", [True, False])
def test_columns_that_were_empty_are_kept_or_dropped(keep: bool, tmp_path: Path) -> None:
    known, illness = with_gaps(3)
    known[:, 2] = np.nan
    imputer = IterativeImputer(keep_empty_features=keep, random_state=0)
    model = make_pipeline(imputer, Ridge()).fit(known, illness)
    convert(model, tmp_path / "out", data=known, target=illness)
    fresh, _ = with_gaps(4)
    np.testing.assert_allclose(ask(tmp_path / "out", fresh), model.predict(fresh), rtol=2e-5)


def test_missing_values_may_be_a_number(tmp_path: Path) -> None:
    known, illness = with_gaps(5, marker=-999.0)
    imputer = IterativeImputer(missing_values=-999, skip_complete=True, random_state=0)
    model = make_pipeline(imputer, Ridge()).fit(known, illness)
    convert(model, tmp_path / "out", data=known, target=illness)
    fresh, _ = with_gaps(6, marker=-999.0)
    np.testing.assert_allclose(ask(tmp_path / "out", fresh), model.predict(fresh), rtol=2e-5)


def test_a_row_that_lacks_all_of_its_columns_is_answered_alone_and_among_others_as_the_model_does(
    tmp_path: Path,
) -> None:
    known, illness = patients(8, missing=0.1)
    columns = make_column_transformer((IterativeImputer(random_state=0), ["marker", "count"]), remainder="passthrough")
    model = make_pipeline(columns, StandardScaler(), Ridge()).fit(known, illness)

    convert(model, tmp_path / "out", data=known, target=illness)

    lacking = known.assign(marker=np.where(np.arange(len(known)) < 5, np.nan, known["marker"]))
    lacking.loc[:4, "count"] = np.nan
    for rows in (lacking, lacking.iloc[:1]):
        served = ask_served(tmp_path / "out", rows)["prediction"]
        np.testing.assert_allclose(served, model.predict(rows), rtol=2e-5, atol=1e-5)
    assert abs(model.predict(lacking)[0] - model.predict(lacking.iloc[:1])[0]) > 1e-4


@pytest.mark.parametrize(
    ("imputer", "message"),
    [
        (
            IterativeImputer(sample_posterior=True, max_iter=2, random_state=0),
            "the IterativeImputer draws what it imputes at random .*: fit it with sample_posterior=False",
        ),
        (
            IterativeImputer(RandomForestRegressor(2, max_depth=2), max_iter=1, random_state=0),
            "the IterativeImputer predicts missing values by a RandomForestRegressor, .*: choose a linear estimator",
        ),
    ],
)
def test_imputers_without_a_form_are_refused_by_name(imputer: Any, message: str, tmp_path: Path) -> None:  # noqa: ANN401
    known, illness = with_gaps(7)
    model = make_pipeline(imputer, LogisticRegression(max_iter=1000)).fit(known, illness > 2)
    with pytest.raises(ConversionError, match=message):
        convert(model, tmp_path / "out", data=known, target=illness > 2)
