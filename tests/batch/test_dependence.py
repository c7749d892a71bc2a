"""Partial dependence over a file, against scikit-learn's own."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import onnxlet
from laboratory import Laboratory, background_of, product
from onnxlet.batch.dependence import Asked, Dependence, find_dependence
from onnxlet.batch.folding import Sample
from onnxlet.batch.formats import blocks
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.request import ExplanationRequest
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.serving.model import Model
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref

pytestmark = pytest.mark.slow

ROWS = background_of(200, 4, seed=5)


@pytest.fixture
def laboratory(store: Store, tmp_path: Path) -> Laboratory:
    return Laboratory(store, tmp_path)


def frame() -> pd.DataFrame:
    """Patients of three wards."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": random.normal(60, 12, 300).astype(np.float32).astype(float),
            "dose": random.gamma(2, 2, 300).astype(np.float32).astype(float),
            "visits": random.integers(0, 5, 300),
            "ward": random.choice(["A", "B", "C"], 300),
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Model]:
    """An estimator of scikit-learn, and its version."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    patients = frame()
    risk = patients["age"] / 12 + patients["dose"] / 3 + (patients["ward"] == "B") * patients["visits"] > 7.5
    encode = make_column_transformer((OneHotEncoder(), ["ward"]), remainder="passthrough")
    estimator = make_pipeline(encode, GradientBoostingClassifier(n_estimators=20, random_state=0)).fit(patients, risk)
    store = (tmp_path_factory.mktemp("trained") / "store").as_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNXLET_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        onnxlet.ship(estimator, "risk", data=patients, target=risk, promote=True, store=store)
        return estimator, Workspace(store).make_predictor().load(parse_ref("risk")).model


def by_scikit_learn(estimator: Any, column: str, values: list[Any]) -> Any:  # noqa: ANN401
    from sklearn.inspection import partial_dependence

    grid = np.array(values, dtype=object if isinstance(values[0], str) else float)
    found = partial_dependence(
        estimator,
        frame().astype({"visits": float}),
        [column],
        custom_values={column: grid},
        method="brute",
        response_method="predict_proba",
        categorical_features=["ward"],
    )
    return found["average"][0]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_it_is_that_of_scikit_learn_on_the_same_grid(
    trained: tuple[Any, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    estimator, model = trained
    path = tmp_path / f"rows.{suffix}"
    write = {"csv": frame().to_csv, "parquet": frame().to_parquet}
    if suffix == "jsonl":
        frame().to_json(path, orient="records", lines=True, double_precision=15)
    else:
        write[suffix](path, index=False)
    monkeypatch.setattr(blocks, "RANGE_BYTES", 4096)
    request = ExplanationRequest(classes="True")
    asked = Asked(("age", "visits", "ward"), 8, request)
    found = find_dependence(model, path, asked)
    assert find_dependence(model, path, asked, workers=3) == found
    age, visits, ward = found.curves
    assert (len(age.grid), visits.grid, ward.grid) == (8, [0, 1, 2, 3, 4], ["A", "B", "C"])
    assert age.grid[0] == pytest.approx(np.quantile(frame()["age"], 0.05, method="inverted_cdf"))
    assert age.grid[-1] == pytest.approx(np.quantile(frame()["age"], 0.95, method="inverted_cdf"))
    for curve in found.curves:
        assert list(curve.means) == ["True"]
        np.testing.assert_allclose(curve.means["True"], by_scikit_learn(estimator, curve.column, curve.grid), atol=1e-6)
    assert (found.output, found.unit, found.rows.scored) == ("probabilities", "probability", 300)


def test_the_most_important_columns_are_taken_where_none_is_named(laboratory: Laboratory, tmp_path: Path) -> None:
    background = {name: background_of(12, 4)[:, place] for place, name in enumerate("abcd")}
    model = product(laboratory, columns="abcd", background=background)
    # a column that never moves from the background's mean moves nothing
    rows = ROWS.copy()
    rows[:, 2] = 0
    rows[:, 3] *= 5
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows(["abcd", *rows.tolist(), ["x", 1, 2, 3]])
    found = find_dependence(model, tmp_path / "rows.csv", Asked())
    assert {curve.column for curve in found.curves} == {"a", "b", "d"}
    assert found.curves[0].column == "d"
    assert found.rows.errors == 1
    for curve in found.curves:
        place = "abcd".index(curve.column)
        filled = rows.astype(float)
        for value, mean in zip(curve.grid, curve.means["y"], strict=True):
            filled[:, place] = value
            assert mean == pytest.approx((1 + filled).prod(axis=1).mean(), rel=1e-4, abs=1e-4)


def test_a_sample_does_not_grow_with_the_number_of_ranges() -> None:
    sample = Sample(4, 10)
    told = []
    for first in range(0, 4000, 8):
        sampling = sample.begin()
        sampling.add({"x": np.arange(first, first + 8)})
        told.append(sampling.tell())
    assert all(len(each["x"]) == 4 for each in told)
    kept = sample.join(told)["x"]
    assert (len(kept), kept[0], kept[-1]) == (10, 0, 3999)
    assert np.ptp(np.diff(kept)) <= 8, "they are evenly apart"
    assert sample.join(told[:2])["x"].tolist() == [0, 2, 4, 7, 8, 10, 12, 15]


def test_elements_of_tensors_are_columns_too(laboratory: Laboratory, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    found = find_dependence(product(laboratory), tmp_path / "rows.npy", Asked(("x[1]",), 5))
    assert isinstance(found, Dependence)
    (curve,) = found.curves
    filled = ROWS.astype(float)
    filled[:, 1] = curve.grid[2]
    assert curve.means["y"][2] == pytest.approx((1 + filled).prod(axis=1).mean(), rel=1e-5)


def test_what_cannot_be_asked_is_refused(laboratory: Laboratory, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    model = product(laboratory, background=None)
    with pytest.raises(InvalidInputError, match=r"no column 'x\[7\]'; did you mean 'x\[\d\]'\?$"):
        find_dependence(model, tmp_path / "rows.npy", Asked(("x[7]",)))
    with pytest.raises(InvalidInputError, match=r"no column 'patient'; it has 'x\[0\]', 'x\[1\]', 'x\[2\]', 'x\[3\]'$"):
        find_dependence(model, tmp_path / "rows.npy", Asked(("patient",)))
    with pytest.raises(NotExplainableError, match="name some; the version has no background"):
        find_dependence(model, tmp_path / "rows.npy", Asked())
    with pytest.raises(InvalidInputError, match="no output 'z'"):
        find_dependence(model, tmp_path / "rows.npy", Asked(("x[1]",), 5, ExplanationRequest(output="z")))
