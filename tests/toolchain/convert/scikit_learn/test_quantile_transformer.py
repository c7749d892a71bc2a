"""QuantileTransformer: exact at, between and beyond all quantiles, those that repeat too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

import trained
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import read_draft
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.toolchain, pytest.mark.long]


def with_ties(seed: int, *, missing: float = 0.0) -> tuple[Any, trained.Array]:
    """Patients, many of whom have no count at all, and few ages."""
    frame, illness = patients(seed, missing=missing)
    frame.loc[frame["count"] < 10, "count"] = 0.0
    frame["age"] = (frame["age"] / 20).round()
    return frame.astype(np.float32).astype(np.float64), illness


def around(transformer: Any, frame: Any) -> Any:  # noqa: ANN401
    """Rows at every quantile, on both sides of it in single precision, and far beyond all of them."""
    quantiles = transformer.quantiles_.astype(np.float32)
    beside = [np.nextafter(quantiles, np.float32(side)) for side in (-np.inf, np.inf)]
    ends = np.array([-1e30, -1e4, 0, 1e4, 1e30], dtype=np.float32)[:, None] * np.ones_like(quantiles[:1])
    values = np.concatenate([quantiles, *beside, ends]).astype(np.float64)
    return type(frame)(values, columns=frame.columns)


@pytest.mark.parametrize("count", [2, 25, 300])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_quantiles_are_exact_at_between_and_beyond_those_that_were_learned(
    distribution: str, count: int, tmp_path: Path
) -> None:
    known, illness = with_ties(1)
    quantiles = QuantileTransformer(n_quantiles=count, output_distribution=distribution)
    model = make_pipeline(quantiles, LogisticRegression()).fit(known, illness > 2)

    draft = convert(model, tmp_path / "out", data=known, target=illness > 2)

    assert draft.probing is not None
    assert draft.probing.rows > count
    fresh, _ = with_ties(2)
    for rows in (fresh, around(quantiles, known)):
        served = ask_served(tmp_path / "out", rows)
        assert served["label"].tolist() == model.predict(rows).tolist()
        np.testing.assert_allclose(served["probabilities"], model.predict_proba(rows), atol=2e-6)


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    known, illness = with_ties(4, missing=0.1)
    model = make_pipeline(QuantileTransformer(n_quantiles=30), HistGradientBoostingRegressor(max_iter=20))
    model.fit(known, illness)

    convert(model, tmp_path / "out", data=known, target=illness)

    fresh, _ = with_ties(5, missing=0.3)
    np.testing.assert_allclose(ask_served(tmp_path / "out", fresh)["prediction"], model.predict(fresh), rtol=1e-5)


def test_how_near_normal_quantiles_come_is_said_in_draft_and_report(tmp_path: Path) -> None:
    known, illness = with_ties(6)
    quantiles = QuantileTransformer(n_quantiles=20, output_distribution="normal")
    model = make_pipeline(quantiles, LogisticRegression()).fit(known, illness > 2)
    convert(model, tmp_path / "out", data=known, target=illness > 2)
    verify(tmp_path / "out", data=known, target=illness > 2)

    (note,) = read_draft(tmp_path / "out")[0].notes

    said = "the QuantileTransformer computes normal quantiles in double precision, within 1e-14 of scipy's"
    assert said in note
    assert "computes normal quantiles in double precision" in (tmp_path / "out/report.html").read_text()
