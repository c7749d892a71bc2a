"""Live sketches: what is answered over HTTP is counted in the baseline's bins, and nothing raw is written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest

from doors import COLUMNS, FEATURES, Shop
from faults import WatchedStore
from onnxlet.errors import StoreUnavailableError
from onnxlet.monitor import row_watchers
from onnxlet.monitor.baseline import Baseline, draw_baseline
from onnxlet.monitor.live import MOST_UNWRITTEN, MOST_VERSIONS, LiveSketches
from onnxlet.monitor.report.document import decode_report, read_report
from onnxlet.monitor.report.drift import Drift, VersionDrift
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import FEWEST_ROWS, list_days, read_window
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.telemetry.background import INTERVAL, Background
from onnxlet.telemetry.on_lambda import observe_function
from onnxlet.telemetry.recording import Observation, Prediction, Telemetry
from onnxlet.values.refs import parse_ref
from onnxlet.values.timestamps import utc_now

ROWS = np.random.default_rng(0).normal(size=(600, FEATURES)).astype(np.float32)


class Watched:
    """A data plane whose predictions are counted."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.telemetry = Telemetry(rows=10_000)
        self.telemetry.watch_with(lambda: LiveSketches(store))
        self.shop = Shop(store, folder, telemetry=self.telemetry)
        self.shop.publish_diagnosis()
        self.baseline = self._draw()
        give_baseline(store, "diagnosis", 1, self.baseline)

    def _draw(self) -> Baseline:
        columns = {name: ROWS[:, place] for place, name in enumerate(COLUMNS)}
        answer = self.shop.predictor.served(parse_ref("diagnosis")).model.predict(columns, "columns")
        return draw_baseline(columns, answer)

    def ask(self, rows: np.ndarray, *, named: bool = False) -> None:
        """Send rows as a matrix, or as named columns."""
        instances = [dict(zip(COLUMNS, row, strict=True)) for row in rows.tolist()] if named else rows.tolist()
        signature = {"signature_name": "columns"} if named else {}
        answer = self.shop.predict("diagnosis", orjson.dumps({"instances": instances, **signature}))
        assert answer.status == 200, answer.body

    def rows(self) -> int:
        """What is stored."""
        return sum(read_window(self.store, "diagnosis", 1, day).rows for day in list_days(self.store, "diagnosis", 1))


def fold_days(watched: Watched, live: LiveSketches, days: Iterable[int], rows: int = FEWEST_ROWS) -> None:
    """Count some rows on each of these days since 1970."""
    served = watched.shop.predictor.served(parse_ref("diagnosis"))
    answer = served.model.predict({"features": ROWS[:rows]})
    prediction = Prediction("serving_default", {"features": ROWS[:rows]}, answer, 0.1)
    for day in days:
        live.fold([Observation(day * 86_400.0, "id", "", "diagnosis", served, prediction, 200, None, 0, 0, 0.1)])


@pytest.fixture
def watched(store: Store, tmp_path: Path) -> Watched:
    return Watched(store, tmp_path)


def test_the_rows_that_were_asked_about_are_counted_as_the_baseline_counts_them(watched: Watched) -> None:
    for start in range(0, 300, 50):
        watched.ask(ROWS[start : start + 50])
    watched.ask(ROWS[300:], named=True)
    watched.telemetry.flush()
    (day,) = list_days(watched.store, "diagnosis", 1)
    (sketch,) = read_window(watched.store, "diagnosis", 1, day).sketches
    assert sketch.rows == 600
    for column in watched.baseline.columns:
        assert sketch.inputs[column.name] == (*column.counts, column.missing)
    labels = next(column for column in watched.baseline.outputs if column.name == "label")
    assert sketch.outputs["label"] == (*labels.counts, 0)


def test_fewer_rows_than_twenty_wait_and_are_never_written(watched: Watched) -> None:
    watched.ask(ROWS[: FEWEST_ROWS - 1])
    watched.telemetry.flush()
    assert watched.rows() == 0
    watched.ask(ROWS[:1])
    watched.telemetry.flush()
    assert watched.rows() == FEWEST_ROWS
    watched.ask(ROWS[:5])
    watched.telemetry.flush(final=True)
    assert watched.rows() == FEWEST_ROWS


def test_rows_that_are_too_few_at_the_end_are_counted_in_the_log(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watched.ask(ROWS[:40])
    watched.telemetry.flush()
    watched.ask(ROWS[: FEWEST_ROWS - 1])
    watched.telemetry.flush(final=True)
    assert "19 rows of diagnosis:1 were not sketched" in caplog.text
    assert watched.rows() == 40


def test_slices_of_a_process_wait_for_enough_rows_and_are_written_once(watched: Watched) -> None:
    columns = {name: ROWS[:, place].copy() for place, name in enumerate(COLUMNS)}
    columns[COLUMNS[0]] = np.repeat([0.0, 1.0], 300).astype(np.float32)
    give_baseline(watched.store, "diagnosis", 1, draw_baseline(columns, sliced_by=COLUMNS[0]))
    rows = np.column_stack(list(columns.values()))

    def slices() -> dict[str, int]:
        (day,) = list_days(watched.store, "diagnosis", 1)
        (sketch,) = read_window(watched.store, "diagnosis", 1, day).sketches
        return {value: each.rows for value, each in sketch.slices.items()}

    watched.ask(rows[:30])
    watched.telemetry.flush()
    assert slices() == {"0": 30}
    watched.ask(rows[281:310])
    watched.telemetry.flush()
    assert slices() == {"0": 30}
    watched.ask(rows[310:330], named=True)
    watched.telemetry.flush()
    assert slices() == {"0": 30}
    watched.ask(rows[299:330])
    watched.telemetry.flush(final=True)
    assert slices() == {"0": 30 + 19 + 1, "1": 30 + 30}


def test_no_value_that_was_sent_is_in_the_store(watched: Watched) -> None:
    marked = np.full((40, FEATURES), 7_654_321.25, np.float32)
    watched.ask(marked)
    watched.telemetry.flush(final=True)
    assert watched.rows() == 40
    for entry in watched.store.list("sketches/"):
        assert b"7654321" not in watched.store.get(entry.key).data


def test_a_version_without_a_baseline_is_not_counted_and_asked_for_once(store: Store, tmp_path: Path) -> None:
    asked: list[str] = []
    telemetry, lost = Telemetry(), []
    watching = WatchedStore(store, lambda _, key: asked.append(key))
    telemetry.watch_with(lambda: LiveSketches(watching, lambda *rows: lost.append(rows)))
    shop = Shop(store, tmp_path, telemetry=telemetry)
    shop.publish_echo("plain", "FP32", -1, 2)
    for _ in range(3):
        shop.predict("plain", orjson.dumps({"instances": [[1.0, 2.0]] * 30}))
        telemetry.flush()
    assert asked == ["sketches/baselines/plain/1.json", "models/plain/1/baseline.json"]
    assert not list(store.list("sketches/"))
    assert not lost, "nobody wanted them"


def test_a_version_is_counted_once_the_store_answers_again(store: Store, tmp_path: Path) -> None:
    down = [True]

    def fail(_: str, key: str) -> None:
        if down[0] and key.startswith("sketches/baselines/"):
            raise StoreUnavailableError("down")

    watched = Watched(store, tmp_path)
    telemetry, lost = Telemetry(), []
    telemetry.watch_with(lambda: LiveSketches(WatchedStore(store, fail), lambda *rows: lost.append(rows)))
    watched.shop = Shop(store, tmp_path, telemetry=telemetry)
    watched.ask(ROWS[:30])
    telemetry.flush()
    assert watched.rows() == 0
    down[0] = False
    watched.ask(ROWS[:40])
    telemetry.flush()
    assert watched.rows() == 40
    assert lost == [("diagnosis", 1, 30)]


def test_many_days_of_few_rows_leave_room_for_those_that_follow(watched: Watched) -> None:
    live = LiveSketches(watched.store)
    for day in range(1, MOST_VERSIONS + 3):
        fold_days(watched, live, [day], FEWEST_ROWS if day > MOST_VERSIONS + 1 else 1)
        live.flush(final=False)
    assert watched.rows() == FEWEST_ROWS


def test_what_the_store_refuses_is_written_later_and_counts_once(store: Store, tmp_path: Path) -> None:
    down = [True]

    def fail_after_writing(method: str, key: str) -> None:
        if method == "create" and key.startswith("sketches/") and down[0]:
            raise StoreUnavailableError("the answer was lost")

    class Lossy(WatchedStore):
        def create(self, key: str, data: bytes | Path) -> str:
            etag = store.create(key, data)
            fail_after_writing("create", key)
            return etag

    watched = Watched(store, tmp_path)
    live = LiveSketches(Lossy(store, lambda *_: None))
    telemetry = Telemetry()
    telemetry.watch_with(lambda: live)
    watched.shop = Shop(store, tmp_path, telemetry=telemetry)
    watched.ask(ROWS[:30])
    telemetry.flush()
    watched.ask(ROWS[:40])
    down[0] = False
    telemetry.flush()
    assert watched.rows() == 70


def test_where_a_process_goes_on_rows_gather_before_a_part_is_written(store: Store, tmp_path: Path) -> None:
    watched, telemetry = Watched(store, tmp_path), Telemetry()
    for open_watcher in row_watchers(store, Settings(store="unused")):
        telemetry.watch_with(partial(open_watcher, telemetry))
    watched.shop = Shop(store, tmp_path, telemetry=telemetry)
    background = Background(telemetry)
    background.start()
    for _ in range(4):
        watched.ask(ROWS[:30])
        time.sleep(2 * INTERVAL)
    background.stop()
    assert watched.rows() == 120
    assert len(list(store.list("sketches/live/"))) == 1


def test_a_part_is_written_once_its_rows_are_old_enough(watched: Watched) -> None:
    now = [0.0]
    live = LiveSketches(watched.store, seconds=60, clock=lambda: now[0])
    fold_days(watched, live, [1])
    for now[0], written in ((0, 0), (59, 0), (60, FEWEST_ROWS), (61, FEWEST_ROWS)):
        live.flush(final=False)
        assert watched.rows() == written


def test_a_clock_that_is_set_back_holds_up_no_part(watched: Watched) -> None:
    now = [1_000_000.0]
    live = LiveSketches(watched.store, seconds=60, clock=lambda: now[0])
    fold_days(watched, live, [1])
    live.flush(final=False)
    assert watched.rows() == 0
    now[0] -= 86_400
    live.flush(final=False)
    assert watched.rows() == FEWEST_ROWS


def test_a_clock_that_was_ahead_for_a_moment_ends_no_day(watched: Watched) -> None:
    live = LiveSketches(watched.store, clock=lambda: 86_400.0)
    fold_days(watched, live, [2])
    for _ in range(4):
        fold_days(watched, live, [1], FEWEST_ROWS - 5)
        live.flush(final=False)
    assert [read_window(watched.store, "diagnosis", 1, day).rows for day in ("1970-01-02", "1970-01-03")] == [60, 20]


def test_however_many_rows_come_a_process_writes_one_part_a_minute(watched: Watched) -> None:
    """4,800 rows a second for three minutes, looked at four times a second, as the local server does."""
    live = LiveSketches(watched.store, seconds=60, clock=lambda: now)
    quarters = 3 * 60 * 4
    for quarter in range(quarters):
        now = quarter / 4
        fold_days(watched, live, [1], 600)
        fold_days(watched, live, [1], 600)
        live.flush(final=False)
    assert len(list(watched.store.list("sketches/live/"))) == 2
    live.flush(final=True)
    assert len(list(watched.store.list("sketches/live/"))) == 3
    assert watched.rows() == quarters * 1200


def test_what_the_store_refused_waits_as_long_as_rows_do(watched: Watched) -> None:
    now, asked = [0.0], [0]

    def fail(method: str, _: str) -> None:
        if method == "create":
            asked[0] += 1
            raise StoreUnavailableError("down")

    live = LiveSketches(WatchedStore(watched.store, fail), seconds=60, clock=lambda: now[0])
    fold_days(watched, live, [1])
    for now[0], tried in ((60, 1), (61, 1), (119, 1), (120, 2)):
        with suppress(StoreUnavailableError):
            live.flush(final=False)
        assert asked == [tried]


def test_rows_that_are_too_few_when_the_function_ends_are_told_by_its_last_metrics(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched(store, tmp_path)
    settings = Settings(store="unused", function_name="predict")
    telemetry, _ = observe_function(settings, {}, *row_watchers(store, settings))
    watched.shop = Shop(store, tmp_path, telemetry=telemetry)
    watched.ask(ROWS[:7])
    telemetry.flush()
    telemetry.flush(final=True)
    told = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["model"], each["UnsketchedRows"]) for each in told if "UnsketchedRows" in each] == [("diagnosis", 7)]


def test_rows_beyond_what_is_counted_at_once_are_told(watched: Watched) -> None:
    lost: Counter[tuple[str, int]] = Counter()
    live = LiveSketches(watched.store, lambda model, version, rows: lost.update({(model, version): rows}))
    fold_days(watched, live, range(1, MOST_VERSIONS + 3))
    assert lost == {("diagnosis", 1): 2 * FEWEST_ROWS}
    live.flush(final=True)
    assert watched.rows() == MOST_VERSIONS * FEWEST_ROWS
    assert lost == {("diagnosis", 1): 2 * FEWEST_ROWS}


def test_sketches_beyond_those_that_wait_for_the_store_are_told_and_at_the_end_all(watched: Watched) -> None:
    def fail(method: str, _: str) -> None:
        if method == "create":
            raise StoreUnavailableError("down")

    lost: Counter[tuple[str, int]] = Counter()
    live = LiveSketches(
        WatchedStore(watched.store, fail), lambda model, version, rows: lost.update({(model, version): rows})
    )
    for day in range(1, MOST_UNWRITTEN + 4):
        fold_days(watched, live, [day])
        with pytest.raises(StoreUnavailableError):
            live.flush(final=False)
    assert lost == {("diagnosis", 1): 3 * FEWEST_ROWS}
    with pytest.raises(StoreUnavailableError):
        live.flush(final=True)
    assert lost == {("diagnosis", 1): (MOST_UNWRITTEN + 3) * FEWEST_ROWS}


def test_a_drift_is_reported_with_its_column_and_the_days_before_are_quiet(watched: Watched) -> None:
    def read() -> VersionDrift:
        report = read_report(Scope(watched.store, "diagnosis", [1]), written=utc_now())
        told = decode_report(report.encode()).sections["drift"]
        assert isinstance(told, Drift)
        (version,) = told.versions
        return version

    assert read().days == ()
    watched.ask(ROWS[:400])
    watched.telemetry.flush()
    assert [(day.rows, day.alarms) for day in read().days] == [(400, ())]
    assert read().baseline == watched.baseline.pinned
