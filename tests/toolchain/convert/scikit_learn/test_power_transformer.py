"""PowerTransformer: powers are computed in double precision, and what scikit-learn refuses is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from onnxlet.errors import ExecutionError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.export_search import CLOSE

pytestmark = pytest.mark.toolchain


def laboratory(rows: int, seed: int) -> tuple[trained.Array, trained.Array]:
    """Positive columns of many scales, and counts with zeros; what they add up to on logarithmic scales."""
    random = np.random.default_rng(seed)
    columns = [
        random.lognormal(9, 2, rows),
        random.lognormal(0, 1, rows),
        random.normal(100, 1, rows),
        random.lognormal(16, 3, rows),
        random.normal(1e5, 3e3, rows),
    ]
    features = np.stack(columns, axis=1)
    return features, np.log(features[:, 0]) + features[:, 1] + random.normal(0, 0.1, rows)


def signed(rows: int, seed: int) -> tuple[trained.Array, trained.Array]:
    """The same with both signs and zeros, for Yeo and Johnson."""
    features, target = laboratory(rows, seed)
    flipped = np.random.default_rng(seed).random(features.shape) < 0.3
    features = np.where(flipped, -features, features)
    features[::17, 1] = 0
    return features, target


def matrix(features: trained.Array) -> dict[str, trained.Array]:
    return {f"x{index}": column for index, column in enumerate(features.T)}


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("method", ["box-cox", "yeo-johnson"])
def test_powers_of_fresh_rows_are_scikit_learns(method: str, standardize: bool, tmp_path: Path) -> None:
    known = laboratory if method == "box-cox" else signed
    features, target = known(400, 1)
    powers = PowerTransformer(method, standardize=standardize)
    model = make_pipeline(powers, StandardScaler(), Ridge()).fit(features, target)

    draft = convert(model, tmp_path / "out", data=features, target=target)

    fresh, _ = known(300, 2)
    spread = target.std()
    assert draft.evaluations[-1].metrics["largest_distance"] <= CLOSE * spread * 10
    answers = trained.served_model(tmp_path / "out").predict(matrix(fresh), "columns")
    np.testing.assert_allclose(answers["prediction"], model.predict(fresh), rtol=1e-5, atol=10 * CLOSE * spread)


def test_a_classifier_that_single_precision_would_move_is_written_in_double(tmp_path: Path) -> None:
    features, target = laboratory(500, 0)
    model = make_pipeline(PowerTransformer(), LogisticRegression(max_iter=1000)).fit(features, target > target.mean())
    lines: list[str] = []

    draft = convert(model, tmp_path / "out", data=features, target=target > target.mean(), on_progress=lines.append)

    assert draft.evaluations[-1].metrics["largest_distance"] <= CLOSE
    fresh, _ = laboratory(300, 3)
    answers = trained.served_model(tmp_path / "out").predict(matrix(fresh), "columns")
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=CLOSE)


def test_exponents_as_good_as_zero_are_logarithms(tmp_path: Path) -> None:
    features, target = laboratory(200, 4)
    transformer = PowerTransformer("box-cox", standardize=False).fit(features)
    transformer.lambdas_ = np.array([0.0, 1e-12, -1e-9, 1e-7, 0.5])
    rest = make_pipeline(StandardScaler(), Ridge()).fit(transformer.transform(features), target)
    model = make_pipeline(transformer, rest)

    convert(model, tmp_path / "out", data=features, target=target)

    fresh, _ = laboratory(100, 5)
    answers = trained.served_model(tmp_path / "out").predict(matrix(fresh), "columns")
    np.testing.assert_allclose(answers["prediction"], model.predict(fresh), rtol=1e-4)


def test_rows_that_box_and_cox_refuse_are_refused(tmp_path: Path) -> None:
    features, target = laboratory(200, 6)
    model = make_pipeline(PowerTransformer("box-cox"), Ridge()).fit(features, target)
    convert(model, tmp_path / "out", data=features, target=target)
    served = trained.served_model(tmp_path / "out")
    for value in (0.0, -1.0):
        bad = features[:3].copy()
        bad[1, 2] = value
        with pytest.raises(ValueError, match="strictly positive"):
            model.predict(bad)
        with pytest.raises(ExecutionError):
            served.predict(matrix(bad), "columns")
