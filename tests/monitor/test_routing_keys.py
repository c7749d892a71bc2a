"""Rows that share a routing key: one of each counts, so that twenty rows of one patient are no drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from doors import COLUMNS, FEATURES, Shop
from onnxlet.monitor import keys
from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.comparison import compare
from onnxlet.monitor.keys import SeenKeys
from onnxlet.monitor.live import LiveSketches
from onnxlet.monitor.report.drift import read_drift, show_drift
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import list_days, read_window
from onnxlet.store import Store
from onnxlet.telemetry.recording import Observation, Prediction, Telemetry
from onnxlet.values.refs import parse_ref

PATIENTS, ROWS_EACH, WINDOWS = 60, 20, 8
CORRELATION = 0.3
"""Of two rows of one patient."""
DAY = 86_400.0
random = np.random.default_rng(0)


def patients(count: int, rows_each: int) -> np.ndarray:
    """Rows [count, rows_each, columns] of variance 1, of which the patient is responsible for a part."""
    own = np.sqrt(CORRELATION) * random.normal(size=(count, 1, FEATURES))
    rows: np.ndarray = own + np.sqrt(1 - CORRELATION) * random.normal(size=(count, rows_each, FEATURES))
    return rows.astype(np.float32)


class Ward:
    """A version that is asked about patients, several rows each."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        shop = Shop(store, folder)
        shop.publish_diagnosis()
        self.served = shop.predictor.served(parse_ref("diagnosis"))
        first = patients(10_000, 1)[:, 0]
        self.baseline = draw_baseline({name: first[:, place] for place, name in enumerate(COLUMNS)})
        give_baseline(store, "diagnosis", 1, self.baseline)

    def ask(self, live: LiveSketches, day: int, *, keyed: bool) -> None:
        """One request for each patient of a day."""
        live.fold(
            [
                self.observation(day, rows, f"patient-{number}" if keyed else None)
                for number, rows in enumerate(patients(PATIENTS, ROWS_EACH))
            ]
        )

    def observation(self, day: int, rows: np.ndarray, key: str | None) -> Observation:
        prediction = Prediction("serving_default", {"features": rows}, {"label": np.zeros(len(rows))}, 0.1)
        return Observation(day * DAY, "id", "", "diagnosis", self.served, prediction, 200, None, 0, 0, 0.1, key=key)

    def differing(self, *, keyed: bool) -> float:
        """The share of windows in which a column differs by more than chance."""
        for number in range(WINDOWS):
            live = LiveSketches(self.store)
            self.ask(live, number + (100 if keyed else 0), keyed=keyed)
            live.flush(final=True)
        found = []
        for day in list_days(self.store, "diagnosis", 1):
            (document,) = read_window(self.store, "diagnosis", 1, day).sketches
            if bool(document.keyed) == keyed:
                sketch = Sketch(self.baseline)
                sketch.add(document)
                assert sketch.rows == (PATIENTS if keyed else PATIENTS * ROWS_EACH)
                found.append(bool(compare(sketch).differing()))
        assert len(found) == WINDOWS
        return float(np.mean(found))


@pytest.fixture
def ward(store: Store, tmp_path: Path) -> Ward:
    return Ward(store, tmp_path)


def test_twenty_rows_of_each_patient_look_like_drift_unless_they_have_a_key(ward: Ward) -> None:
    assert ward.differing(keyed=False) == 1.0
    assert ward.differing(keyed=True) <= 0.25  # 5 % each: three of eight have a chance of 0.6 %


def test_a_key_counts_once_in_a_day_whatever_is_flushed_between(ward: Ward) -> None:
    live = LiveSketches(ward.store)
    for _ in range(3):
        ward.ask(live, 1, keyed=True)
        live.flush(final=False)
    ward.ask(live, 2, keyed=True)
    live.flush(final=True)
    windows = [read_window(ward.store, "diagnosis", 1, day) for day in list_days(ward.store, "diagnosis", 1)]
    assert [window.rows for window in windows] == [PATIENTS, PATIENTS]


def test_the_report_says_whether_the_nominal_rate_holds(ward: Ward) -> None:
    def said() -> str:
        return " ".join(block.text() for block in show_drift(read_drift(Scope(ward.store, "diagnosis", [1]))))

    def flushed(day: int, *, keyed: bool) -> None:
        live = LiveSketches(ward.store)
        ward.ask(live, day, keyed=keyed)
        live.flush(final=True)

    flushed(1, keyed=False)
    assert "where rows are independent" in said()
    flushed(2, keyed=True)
    assert f"one row of each routing key counts, {PATIENTS * (ROWS_EACH - 1)} rows left out" in said()
    flushed(2, keyed=True)
    assert "above 5% of months where keys came to several of the 2 processes" in said()
    flushed(2, keyed=False)
    assert f"where the {PATIENTS * ROWS_EACH} rows without a routing key are independent" in said()


def test_the_header_reaches_the_sketches_and_no_key_is_written(store: Store, tmp_path: Path) -> None:
    telemetry = Telemetry(rows=10_000)
    telemetry.watch_with(lambda: LiveSketches(store))
    shop = Shop(store, tmp_path, telemetry=telemetry)
    shop.publish_diagnosis()
    rows = patients(40, 1)[:, 0]
    give_baseline(store, "diagnosis", 1, draw_baseline({name: rows[:, place] for place, name in enumerate(COLUMNS)}))
    for number in (*range(30), *range(30)):
        body = orjson.dumps({"instances": rows[number : number + 2].tolist()})
        answer = shop.predict("diagnosis", body, x_onnxlet_routing_key=f"QZXJKWVPLMNTRSHD{number}")
        assert answer.status == 200
    telemetry.flush(final=True)
    (day,) = list_days(store, "diagnosis", 1)
    (document,) = read_window(store, "diagnosis", 1, day).sketches
    assert (document.rows, document.keyed, document.repeated) == (30, 30, 90)
    for entry in store.list(""):
        assert b"QZXJKWVPLMNTRSHD" not in store.get(entry.key).data


def test_keys_are_bounded_and_those_of_past_days_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST_KEYS", 2)
    seen, today = SeenKeys(), ("diagnosis", 1, "2026-11-29")
    assert [seen.is_new(today, key) for key in ("a", "b", "a", "c")] == [True, True, False, False]
    seen.forget_before("2026-11-30")
    assert seen.is_new(today, "a")


def test_no_two_processes_hash_a_key_alike() -> None:
    window = ("diagnosis", 1, "2026-11-29")
    first, second = SeenKeys(), SeenKeys()
    first.is_new(window, "a")
    second.is_new(window, "a")
    assert first._seen != second._seen  # noqa: SLF001 - the witness looks inside
