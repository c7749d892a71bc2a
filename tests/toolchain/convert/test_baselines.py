"""The baseline of a conversion: counts of the caller's rows and of the answers to them, and no row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.linear_model import LogisticRegression

import onnxlet
from onnxlet.monitor.baseline import Baseline, Categories, Numbers, decode_baseline
from onnxlet.monitor.sketch import Sketch
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from patients import FEATURES, patients, pipeline

pytestmark = pytest.mark.toolchain
TRAINED, HELD_OUT = patients(500, 0), patients(1_000, 1)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    model = pipeline(LogisticRegression(max_iter=1_000)).fit(TRAINED[list(FEATURES)], TRAINED["diagnosis"])
    convert(model, folder / "out", data=HELD_OUT[[*FEATURES, "diagnosis"]], target="diagnosis")
    return folder / "out"


def baseline_of(folder: Path) -> Baseline:
    return decode_baseline((folder / "baseline.json").read_bytes())


def test_it_counts_the_raw_columns_as_pandas_counts_them(converted: Path) -> None:
    columns = {column.name: column for column in baseline_of(converted).columns}
    assert list(columns) == list(FEATURES)
    wards = columns["ward"]
    assert isinstance(wards, Categories)
    assert dict(zip(wards.values, wards.counts, strict=False)) == HELD_OUT["ward"].value_counts().to_dict()
    assert wards.missing == HELD_OUT["ward"].isna().sum()
    doses = columns["dose"]
    assert isinstance(doses, Numbers)
    assert doses.missing == HELD_OUT["dose"].isna().sum()
    assert doses.counts[0] == (HELD_OUT["dose"] <= doses.edges[0]).sum()


def test_it_counts_the_served_answers(converted: Path) -> None:
    outputs = {column.name: column for column in baseline_of(converted).outputs}
    assert list(outputs) == ["label", "probability", "probabilities[0]", "probabilities[1]"]
    label = outputs["label"]
    assert isinstance(label, Categories)
    assert set(label.values) == {"benign", "malignant"}
    assert sum(label.counts) == 1_000


def test_it_travels_with_the_version(converted: Path, tmp_path: Path) -> None:
    optimize(converted, tmp_path / "optimized", data=HELD_OUT[[*FEATURES, "diagnosis"]], target="diagnosis")
    version = onnxlet.publish(tmp_path / "optimized", "diagnosis", store=tmp_path / "store")
    assert "baseline.json" in {artifact.path for artifact in version.manifest.artifacts}


def test_the_same_rows_fall_into_the_same_bins_when_they_are_live(converted: Path) -> None:
    sketch = Sketch(baseline_of(converted))
    columns = {name: HELD_OUT[name].to_numpy() for name in FEATURES}
    columns["ward"] = np.array([ward or "" for ward in columns["ward"]], dtype=object)
    sketch.fold(columns, {})
    for column, counts in sketch.columns("inputs"):
        assert counts.tolist() == [*column.counts, column.missing], column.name


def test_rows_that_are_made_up_have_none(tmp_path: Path) -> None:
    model = LogisticRegression().fit(np.random.default_rng(0).normal(size=(100, 3)), [0, 1] * 50)
    convert(model, tmp_path / "out")
    assert not (tmp_path / "out" / "baseline.json").exists()
