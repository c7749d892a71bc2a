"""Watching from the command line and from Python: a version is published, asked, drifts, and is told to."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression

import onnxlet
from onnxlet.cli.root import cli
from onnxlet.errors import VersionNotFoundError
from onnxlet.monitor.live import LiveSketches
from onnxlet.monitor.report.drift import DayDrift, Drift
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import read_baseline
from onnxlet.monitor.windows import part_key, write_part
from onnxlet.store import open_store
from onnxlet.values.timestamps import day_of, utc_now
from patients import FEATURES, patients, pipeline

pytestmark = pytest.mark.toolchain
HELD_OUT = patients(1_000, 1)
NOW = utc_now()
FIRST, SECOND, THIRD = (day_of(NOW - timedelta(days=ago)) for ago in (3, 2, 1))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("watched")
    trained = patients(500, 0)
    model = pipeline(LogisticRegression(max_iter=1_000)).fit(trained[list(FEATURES)], trained["diagnosis"])
    onnxlet.convert(model, folder / "out", data=HELD_OUT[[*FEATURES, "diagnosis"]], target="diagnosis")
    onnxlet.publish(folder / "out", "diagnosis", store=folder / "store")
    onnxlet.promote("diagnosis:1", store=folder / "store")
    HELD_OUT.to_csv(folder / "held-out.csv", index=False)
    return f"file://{folder / 'store'}"


def live(url: str, day: str, frame: pd.DataFrame, version: int = 1) -> None:
    """Count rows of a day as a process that answers them would."""
    store = open_store(url)
    baseline = read_baseline(store, "diagnosis", version)
    assert baseline is not None
    sketch = Sketch(baseline)
    columns = {name: frame[name].to_numpy() for name in FEATURES}
    sketch.fold(columns, {})
    write_part(store, part_key("diagnosis", version, day, "env", 0), sketch.document())


def run(url: str, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["--store", url, *arguments])
    return result.exit_code, result.stdout, result.stderr


def days(url: str) -> tuple[DayDrift, ...]:
    drift = onnxlet.Registry(url).watch("diagnosis").sections["drift"]
    assert isinstance(drift, Drift)
    return drift.versions[0].days


def test_without_live_rows_it_says_from_when_on_they_are_counted(url: str) -> None:
    code, told, _ = run(url, "watch", "diagnosis")
    assert code == 0
    assert "counted from twenty on" in told


def test_a_drift_over_two_days_alarms_and_names_its_column(url: str) -> None:
    live(url, FIRST, patients(500, 2))
    older = patients(500, 3).assign(age=lambda frame: frame["age"] + 15)
    live(url, SECOND, older)
    code, told, warned = run(url, "watch", "diagnosis")
    assert code == 0
    assert SECOND in told
    assert "alarm" not in warned
    live(url, THIRD, older)
    _, told, warned = run(url, "watch", "diagnosis")
    assert "alarm: diagnosis:1 age has drifted" in warned
    _, document, _ = run(url, "watch", "diagnosis", "--since", SECOND, "--json")
    (version,) = json.loads(document)["sections"]["drift"]["versions"]
    assert [(day["day"], day["alarms"]) for day in version["days"]] == [(SECOND, []), (THIRD, ["age"])]
    in_python = onnxlet.Registry(url).watch("diagnosis")
    assert [(finding.kind, finding.about) for finding in in_python.findings] == [("drift", "age")]
    shown = in_python._repr_html_()
    assert "<table>" in shown
    assert "<svg" in shown


def test_a_baseline_that_is_given_later_takes_the_place_of_the_versions_own(url: str, tmp_path: Path) -> None:
    before = onnxlet.Registry(url).show("diagnosis:1")
    other = patients(400, 9)
    other.to_csv(tmp_path / "other.csv", index=False)
    code, told, _ = run(url, "baseline", "diagnosis:1", "--data", str(tmp_path / "other.csv"))
    assert code == 0
    assert "diagnosis:1 is compared with 400 rows of other.csv from now on" in told
    assert onnxlet.Registry(url).show("diagnosis:1").digest == before.digest
    baseline = read_baseline(open_store(url), "diagnosis", 1)
    assert baseline is not None
    assert baseline.rows == 400
    assert all(day.rows == 0 and day.elsewhere == 500 for day in days(url))


def test_a_baseline_has_slices_by_a_column_that_is_named(url: str, tmp_path: Path) -> None:
    HELD_OUT.to_csv(tmp_path / "rows.csv", index=False)
    code, _, _ = run(url, "baseline", "diagnosis:1", "--data", str(tmp_path / "rows.csv"), "--slice", "ward")
    assert code == 0
    baseline = read_baseline(open_store(url), "diagnosis", 1)
    assert baseline is not None
    assert set(baseline.slices) <= set(HELD_OUT["ward"].dropna())
    assert len(baseline.slices) > 1
    code, _, warned = run(url, "baseline", "diagnosis:1", "--data", str(tmp_path / "rows.csv"), "--slice", "age")
    assert code == 1
    assert "makes no slices" in warned


def test_rows_that_are_not_the_models_give_no_baseline(url: str, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("height\n1.8\n" * 20)
    code, _, warned = run(url, "baseline", "diagnosis:1", "--data", str(tmp_path / "other.csv"))
    assert code == 1
    assert "has no column 'age'" in warned


def test_versions_that_do_not_exist_are_not_watched(url: str) -> None:
    with pytest.raises(VersionNotFoundError):
        onnxlet.Registry(url).watch("diagnosis:7")


def test_served_rows_reach_the_report(url: str) -> None:
    from onnxlet.serving.predictor import Predictor
    from onnxlet.settings import Settings
    from onnxlet.telemetry.recording import Observation, Prediction
    from onnxlet.values.refs import parse_ref

    store = open_store(url)
    served = Predictor(store, Settings()).served(parse_ref("diagnosis"))
    frame = patients(60, 5)
    columns = {
        column.name: np.array(["" if value is None else value for value in frame[column.name]], dtype=object)
        if column.datatype == "BYTES"
        else frame[column.name].to_numpy()
        for column in served.model.steps.columns or ()
    }
    counter = LiveSketches(store)
    given = Prediction("columns", columns, served.model.predict(columns, "columns"), 0.0)
    counter.fold([Observation(NOW.timestamp(), "id", "", "diagnosis", served, given, 200, None, 0, 0, 0.0)])
    counter.flush(final=False)
    assert [day.rows for day in days(url) if day.day == day_of(NOW)] == [60]
