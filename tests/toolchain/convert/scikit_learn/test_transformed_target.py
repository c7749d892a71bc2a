"""TransformedTargetRegressor: predictions are transformed back as scikit-learn does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from scipy.special import expit, logit
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import RandomForestRegressor, StackingRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.workbench.directory import read_draft
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.long]

FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "log1p": (np.log1p, np.expm1),
    "log": (np.log, np.exp),
    "log2": (np.log2, np.exp2),
    "sqrt": (np.sqrt, np.square),
    "arcsinh": (np.arcsinh, np.sinh),
}
TRANSFORMERS: dict[str, Callable[[], Any]] = {
    "standard scaler": StandardScaler,
    "standard scaler without mean": lambda: StandardScaler(with_mean=False),
    "robust scaler": RobustScaler,
    "largest": MaxAbsScaler,
    "range": lambda: MinMaxScaler((-1, 2)),
    "Yeo and Johnson": PowerTransformer,
    "Box and Cox": lambda: PowerTransformer("box-cox", standardize=False),
    "shares": lambda: QuantileTransformer(n_quantiles=100),
    "normal quantiles": lambda: QuantileTransformer(n_quantiles=100, output_distribution="normal"),
    "functions and a scaler": lambda: make_pipeline(FunctionTransformer(np.log1p, np.expm1), StandardScaler()),
    "nothing": lambda: None,
}


def assert_serves(model: Any, tmp_path: Path, target: Any = None) -> None:  # noqa: ANN401
    """Fit on patients, convert, and compare on fresh ones, some of them farther out."""
    known, illness = patients(1)
    target = np.exp(illness) if target is None else target(known, illness)
    model.fit(known, target)

    convert(model, tmp_path / "out", data=known, target=target)

    fresh, _ = patients(2)
    fresh.iloc[:20, 0] *= 2
    expected = model.predict(fresh)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(("function", "inverse"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_are_inverted(function: Any, inverse: Any, tmp_path: Path) -> None:  # noqa: ANN401
    regressor = make_pipeline(StandardScaler(), Ridge())
    assert_serves(TransformedTargetRegressor(regressor, func=function, inverse_func=inverse), tmp_path)


def test_shares_of_one_are_inverted(tmp_path: Path) -> None:
    model = TransformedTargetRegressor(LinearRegression(), func=logit, inverse_func=expit)
    assert_serves(model, tmp_path, lambda _, illness: expit(illness - 2))


@pytest.mark.parametrize("make", TRANSFORMERS.values(), ids=TRANSFORMERS)
@pytest.mark.parametrize("regressor", [LinearRegression(), RandomForestRegressor(5, max_depth=5, random_state=0)])
def test_transformers_are_inverted(make: Callable[[], Any], regressor: Any, tmp_path: Path) -> None:  # noqa: ANN401
    assert_serves(TransformedTargetRegressor(regressor, transformer=make(), check_inverse=False), tmp_path)


def test_several_targets_are_inverted_each_by_itself(tmp_path: Path) -> None:
    model = TransformedTargetRegressor(Ridge(), transformer=PowerTransformer())
    known, illness = patients(3)
    targets = np.stack([np.exp(illness), known["pressure"]], axis=1)
    model.fit(known, targets)
    convert(model, tmp_path / "out", data=known.assign(a=targets[:, 0], b=targets[:, 1]), target=["a", "b"])
    fresh, _ = patients(4)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=2e-5)


def test_it_may_hold_a_pipeline_by_names_and_be_held_by_searches_and_ensembles(tmp_path: Path) -> None:
    columns = make_column_transformer((StandardScaler(), ["marker", "age"]), remainder="passthrough")
    inner = make_pipeline(columns, Ridge())
    logarithmic = TransformedTargetRegressor(inner, func=np.log1p, inverse_func=np.expm1)
    search = GridSearchCV(logarithmic, {"regressor__ridge__alpha": [0.1, 1]}, cv=2)
    assert_serves(search, tmp_path)
    # it says how near the inverse comes
    assert "computes expm1 in double precision" in " ".join(read_draft(tmp_path / "out")[0].notes)
    stacked = StackingRegressor(
        [("a", TransformedTargetRegressor(Ridge(), func=np.sqrt, inverse_func=np.square)), ("b", Ridge())], cv=2
    )
    (tmp_path / "stacked").mkdir()
    assert_serves(make_pipeline(StandardScaler(), stacked), tmp_path / "stacked")


def halve(values: Any) -> Any:  # noqa: ANN401
    """Somebody's own function."""
    return values / 2


def double(values: Any) -> Any:  # noqa: ANN401
    """Its inverse."""
    return values * 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            TransformedTargetRegressor(Ridge(), func=halve, inverse_func=double),
            "the TransformedTargetRegressor calls double, which has no ONNX form here: fit the regressor on what",
        ),
        (
            TransformedTargetRegressor(Ridge(), transformer=SplineTransformer(degree=1), check_inverse=False),
            "the TransformedTargetRegressor transforms its target by a SplineTransformer",
        ),
    ],
)
def test_transformations_that_are_not_known_are_refused_by_name(model: Any, message: str, tmp_path: Path) -> None:  # noqa: ANN401
    known, illness = patients(5)
    model.fit(known, illness)
    if isinstance(model.transformer, SplineTransformer):
        # scikit-learn itself fails to answer: it is the graph that is asked for here
        model.transformer_.inverse_transform = halve
    with pytest.raises(ConversionError, match=message):
        convert(model, tmp_path / "out", data=known, target=illness)
