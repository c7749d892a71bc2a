"""FunctionTransformer: functions that are known are exact, rows that have no answer are refused, others by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

import scipy.special
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import trained
from onnxlet.errors import ConversionError, ExecutionError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = pytest.mark.toolchain

ANYWHERE = ("expm1", "exp", "exp2", "cbrt", "square", "absolute", "fabs", "negative", "positive", "arcsinh", "sinh")
BOUNDED = ("tanh", "floor", "ceil", "rint")
ABOVE_ZERO = ("log", "log1p", "log2", "log10", "sqrt", "reciprocal")


def function_named(name: str) -> Any:  # noqa: ANN401
    """The function of numpy, else that of scipy.special."""
    return getattr(np, name, None) or getattr(scipy.special, name)


def numbers(name: str) -> trained.Array:
    """Numbers of every size that the function has a value for, those near 0, 1 and a half among them."""
    random = np.random.default_rng(0)
    sizes = 10 ** random.uniform(-12, 1.5 if "exp" in name or name == "sinh" else 6, 400)
    centred = 0.5 + np.concatenate([-sizes, sizes])[sizes.argsort()[:100]] / 2
    values = {
        "logit": np.concatenate([sizes[sizes < 0.9], 1 - sizes[sizes < 0.9], centred[np.abs(centred - 0.5) < 0.4]]),
        **dict.fromkeys(ABOVE_ZERO, np.concatenate([sizes, 1 + sizes])),
    }.get(name, np.concatenate([sizes, -sizes]))
    singles = values.astype(np.float32).astype(np.float64)
    return singles[singles < 1] if name == "logit" else singles


@pytest.mark.parametrize("name", [*ANYWHERE, *BOUNDED, *ABOVE_ZERO, "expit", "logit"])
def test_known_functions_keep_all_digits_of_single_precision(name: str, tmp_path: Path) -> None:
    function = function_named(name)
    known = numbers(name)[:, None]
    # a line without an offset hides no small number behind a large one
    model = make_pipeline(FunctionTransformer(function), LinearRegression(fit_intercept=False))
    target = function(known).ravel()
    model.fit(known, target)

    convert(model, tmp_path / "out", data=known, target=target)

    answers = trained.served_model(tmp_path / "out").predict({"x0": known.ravel()}, "columns")
    np.testing.assert_allclose(answers["prediction"], model.predict(known), rtol=1e-6, atol=1e-30)


def test_functions_of_some_columns_stand_beside_the_others(tmp_path: Path) -> None:
    known, illness = patients(1)
    logarithm = make_pipeline(FunctionTransformer(np.log1p, feature_names_out="one-to-one"), StandardScaler())
    columns = make_column_transformer((logarithm, ["count", "age"]), ("passthrough", ["marker"]))
    model = make_pipeline(columns, FunctionTransformer(), Ridge()).fit(known, illness)

    convert(model, tmp_path / "out", data=known, target=illness)

    fresh, _ = patients(2)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)


@pytest.mark.parametrize("value", [-1.0, -2.0])
def test_rows_without_a_logarithm_are_refused_where_the_model_refuses_them(value: float, tmp_path: Path) -> None:
    known, illness = patients(3)
    known["marker"] = np.exp(known["marker"])
    model = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), Ridge()).fit(known, illness)
    convert(model, tmp_path / "out", data=known, target=illness)
    bad = known.iloc[:3].copy()
    bad.loc[1, "marker"] = value
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="contains"):
        model.predict(bad)
    with pytest.raises(ExecutionError):
        ask_served(tmp_path / "out", bad)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_rows_without_a_logarithm_are_answered_where_the_model_takes_missing_values(tmp_path: Path) -> None:
    known, illness = patients(4)
    boosted = HistGradientBoostingRegressor(max_iter=20)
    model = make_pipeline(FunctionTransformer(np.sqrt), boosted).fit(known, illness)
    assert (known["marker"] < 0).any()

    convert(model, tmp_path / "out", data=known, target=illness)

    fresh, _ = patients(5)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)


def halve(rows: Any) -> Any:  # noqa: ANN401
    """Somebody's own function."""
    return rows / 2


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        (FunctionTransformer(halve), "the FunctionTransformer calls halve, which has no ONNX form here: compute it"),
        (FunctionTransformer(np.sort), "the FunctionTransformer calls sort"),
        (
            FunctionTransformer(np.square, kw_args={"dtype": np.float32}),
            "the FunctionTransformer calls square with arguments of its own",
        ),
    ],
)
def test_functions_that_are_not_known_are_refused_by_name(
    transformer: Any,  # noqa: ANN401
    message: str,
    tmp_path: Path,
) -> None:
    known, illness = patients(6)
    with pytest.raises(ConversionError, match=message):
        convert(
            make_pipeline(transformer, LinearRegression()).fit(known, illness),
            tmp_path / "out",
            data=known,
            target=illness,
        )
