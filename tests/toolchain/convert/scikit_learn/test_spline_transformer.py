"""SplineTransformer: exact at all knots, on both sides of them, and beyond, however it goes on there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

import trained
from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import convert
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.long]


def singles(seed: int, *, missing: float = 0.0) -> tuple[Any, trained.Array]:
    """Patients as CSV files of single precision hold them."""
    frame, illness = patients(seed, missing=missing)
    return frame.astype(np.float32).astype(np.float64), illness


def around(splines: Any, frame: Any) -> Any:  # noqa: ANN401
    """Rows at every knot and on both sides of it in single precision, and beyond the ends."""
    degree = splines.degree
    knots = np.stack([spline.t[degree : len(spline.t) - degree] for spline in splines.bsplines_], axis=1)
    at = knots.astype(np.float32)
    beside = [np.nextafter(at, np.float32(side)) for side in (-np.inf, np.inf)]
    width = at[-1] - at[0]
    beyond = [at[:1] - width, at[:1] - 3 * width, at[-1:] + width, at[-1:] + 3 * width]
    return type(frame)(np.concatenate([at, *beside, *beyond]).astype(np.float64), columns=frame.columns)


@pytest.mark.parametrize("include_bias", [True, False])
@pytest.mark.parametrize(
    ("extrapolation", "degree"),
    [
        *((extrapolation, 3) for extrapolation in ("constant", "linear", "continue", "periodic")),
        ("constant", 1),
        ("linear", 2),
        ("continue", 0),
        ("continue", 1),
        ("periodic", 2),
    ],
)
def test_splines_are_exact_at_between_and_beyond_their_knots(
    extrapolation: str,
    degree: int,
    include_bias: bool,
    tmp_path: Path,
) -> None:
    known, illness = singles(1)
    splines = SplineTransformer(6, degree, knots="quantile", extrapolation=extrapolation, include_bias=include_bias)
    model = make_pipeline(splines, Ridge(alpha=0.1)).fit(known, illness)

    draft = convert(model, tmp_path / "out", data=known, target=illness)

    assert draft.probing is not None
    assert draft.probing.rows > 6 * known.shape[1]
    fresh, _ = singles(2)
    for rows in (fresh, around(splines, known)):
        served = ask_served(tmp_path / "out", rows)["prediction"]
        np.testing.assert_allclose(served, model.predict(rows), rtol=2e-5, atol=1e-5 * illness.std())


def test_knots_that_repeat_at_an_end_are_like_any_other(tmp_path: Path) -> None:
    known, illness = singles(3)
    known["count"] = np.minimum(known["count"], np.float32(15))
    known["marker"] = np.maximum(known["marker"], 0.0)
    splines = SplineTransformer(5, knots="quantile", extrapolation="continue")
    model = make_pipeline(splines, Ridge()).fit(known, illness)
    assert (np.diff(splines.bsplines_[1].t) == 0).any()

    convert(model, tmp_path / "out", data=known, target=illness)

    np.testing.assert_allclose(ask_served(tmp_path / "out", known)["prediction"], model.predict(known), rtol=2e-5)


def test_missing_values_are_nothing_where_the_model_takes_them(tmp_path: Path) -> None:
    known, illness = singles(4, missing=0.1)
    model = make_pipeline(SplineTransformer(handle_missing="zeros"), Ridge()).fit(known, illness)

    convert(model, tmp_path / "out", data=known, target=illness)

    fresh, _ = singles(5, missing=0.3)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=2e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"extrapolation": "error"}, r"the SplineTransformer refuses numbers beyond its knots .*: choose 'constant'"),
        ({"extrapolation": "linear", "degree": 1}, "the SplineTransformer of degree 1 .*: choose extrapolation='cont"),
        ({"extrapolation": "constant", "degree": 0}, "the SplineTransformer of degree 0"),
    ],
)
def test_splines_without_a_form_are_refused_by_name(parameters: Any, message: str, tmp_path: Path) -> None:  # noqa: ANN401
    known, illness = singles(6)
    model = make_pipeline(SplineTransformer(**parameters), Ridge()).fit(known, illness)
    with pytest.raises(ConversionError, match=message):
        convert(model, tmp_path / "out", data=known, target=illness)


def test_a_period_of_no_length_is_refused(tmp_path: Path) -> None:
    known, illness = singles(7)
    known["age"] = 4.0
    model = make_pipeline(SplineTransformer(extrapolation="periodic"), Ridge()).fit(known, illness)
    with pytest.raises(ConversionError, match="periodic in a column that never changes: leave the column out"):
        convert(model, tmp_path / "out", data=known, target=illness)
