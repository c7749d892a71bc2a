"""The watch: windows become reports, alarms, events and metrics, whoever runs it at once, and whenever it is killed."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import msgspec
import numpy as np
import pytest

from faults import WatchedStore
from monitor import watched_models
from monitor.watched_models import DAYS, ROWS
from onnxlet.errors import StoreUnavailableError
from onnxlet.monitor.alarms.book import Note
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.alarms.ledger import read_book, read_log, turn
from onnxlet.monitor.alarms.turning import acknowledge, mute, unmute
from onnxlet.monitor.baseline import Baseline, draw_baseline
from onnxlet.monitor.report.document import Report, decode_report
from onnxlet.monitor.report.drift import DayDrift, Drift
from onnxlet.monitor.report.quality import Quality
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.watch.event_bridge import EventBridge
from onnxlet.monitor.watch.measures import tell_metrics
from onnxlet.monitor.watch.run import Watch, WatchRun
from onnxlet.monitor.windows import part_key, read_window, write_part
from onnxlet.registry.registry import Registry
from onnxlet.store import Store, open_store
from telemetry.embedded_metric_format import check


class Listener:
    """Takes every event, and keeps it."""

    def __init__(self) -> None:
        self.heard: list[AlarmEvent] = []

    def announce(self, events: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
        self.heard.extend(events)
        return ()

    def told(self) -> list[tuple[str, str]]:
        return [(event.detail_type, event.about) for event in self.heard]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def baseline(store: Store, tmp_path: Path) -> Baseline:
    """Of version 2 of `diagnosis`, which is in production."""
    return watched_models.publish(store, tmp_path)


def run(
    store: Store, listener: Listener, day: str = "2026-11-05", *, out_of_time: Callable[[], bool] = lambda: False
) -> WatchRun:
    """One run, an hour into a day."""
    now = datetime.fromisoformat(f"{day}T01:00:00+00:00")
    return Watch(store, announcer=listener, clock=lambda: now).run(out_of_time=out_of_time)


def report(store: Store, day: str, model: str = "diagnosis") -> Report:
    return decode_report(store.get(f"sketches/reports/{model}/{day}.json").data)


def alarms(store: Store) -> list[tuple[str, int, str]]:
    return [alarm.key for alarm in read_book(store, "diagnosis").alarms]


def test_days_are_merged_reported_and_told_of(store: Store, baseline: Baseline, listener: Listener) -> None:
    watched_models.drift(store, baseline)
    done = run(store, listener)
    assert done == WatchRun(DAYS[-1], ("diagnosis",), ("diagnosis",), windows=4, events=1)
    left = [entry.key for entry in store.list("sketches/live/")]
    assert left == [f"sketches/live/diagnosis/2/{day}/merged.json" for day in DAYS]
    told = report(store, DAYS[-1])
    assert list(told.sections) == ["alarms", "traffic", "drift", "quality"]
    assert store.get(f"sketches/reports/diagnosis/{DAYS[-1]}.html").data.decode() == told.page()
    (event,) = listener.heard
    assert (event.detail_type, event.about, event.version) == ("drift found", "radius", 2)
    assert event.aliases == ("production",)
    assert [entry.note.who for entry in read_log(store, "diagnosis")] == ["onnxlet watch"]


def test_a_repeated_run_tells_nothing_twice_and_changes_no_report(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    run(store, listener)
    before = report(store, DAYS[-1])
    again = run(store, listener)
    assert (again.windows, again.events, again.failed) == (0, 0, {})
    assert report(store, DAYS[-1]) == before
    assert len(read_log(store, "diagnosis")) == 1


def test_an_alarm_is_over_when_the_column_is_as_it_was(store: Store, baseline: Baseline, listener: Listener) -> None:
    watched_models.drift(store, baseline)
    run(store, listener)
    watched_models.count(store, baseline, "2026-11-05", 9)
    run(store, listener, "2026-11-06")
    assert listener.told() == [("drift found", "radius"), ("drift over", "radius")]
    assert alarms(store) == []


def test_the_day_that_is_not_over_is_left_alone_until_it_has_many_parts(
    store: Store, baseline: Baseline, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_models.drift(store, baseline)
    assert run(store, listener, DAYS[-1]).windows == 3
    told = report(store, DAYS[-2]).sections["drift"]
    assert isinstance(told, Drift)
    assert [day.day for day in told.versions[-1].days] == list(DAYS[:-1])
    monkeypatch.setattr("onnxlet.monitor.watch.agenda.MANY_PARTS", 1)
    assert run(store, listener, DAYS[-1]).windows == 1
    assert read_window(store, "diagnosis", 2, DAYS[-1]).rows == ROWS


def test_parts_that_come_late_are_in_the_next_report(store: Store, baseline: Baseline, listener: Listener) -> None:
    watched_models.count(store, baseline, DAYS[0], 1)
    run(store, listener, DAYS[1])
    watched_models.count(store, baseline, DAYS[0], 2)
    assert run(store, listener, DAYS[1]).reported == ("diagnosis",)
    told = report(store, DAYS[0]).sections["drift"]
    assert isinstance(told, Drift)
    assert [day.rows for day in told.versions[-1].days] == [2 * ROWS]


def drift_of(store: Store, day: str) -> tuple[DayDrift, ...]:
    told = report(store, day).sections["drift"]
    assert isinstance(told, Drift)
    return told.versions[-1].days


def mark(store: Store, day: str) -> None:
    """Make the report of a day tell of each of its days what no comparison gives."""
    told = report(store, day)
    drift, quality = told.sections["drift"], told.sections["quality"]
    assert isinstance(drift, Drift)
    assert isinstance(quality, Quality)
    replace = msgspec.structs.replace
    for section in (drift, quality):
        versions = tuple(
            replace(each, days=tuple(replace(day, rows=-1) for day in each.days)) for each in section.versions
        )
        told = told.with_section("drift" if section is drift else "quality", replace(section, versions=versions))
    store.put(f"sketches/reports/diagnosis/{day}.json", told.encode())


def test_days_that_are_as_they_were_are_not_compared_again(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    run(store, listener, DAYS[-1])
    mark(store, DAYS[-2])
    run(store, listener)
    assert [day.rows for day in drift_of(store, DAYS[-1])] == [-1, -1, -1, ROWS]
    quality = report(store, DAYS[-1]).sections["quality"]
    assert isinstance(quality, Quality)
    assert [day.rows for day in quality.versions[-1].days] == [-1, -1, -1, ROWS]
    assert listener.told() == [("drift found", "radius")]


def test_a_day_that_got_late_parts_is_compared_again_and_so_is_the_one_after_it(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    run(store, listener)
    mark(store, DAYS[-1])
    watched_models.count(store, baseline, DAYS[1], 9)
    run(store, listener)
    assert [day.rows for day in drift_of(store, DAYS[-1])] == [-1, 2 * ROWS, ROWS, -1]
    quality = report(store, DAYS[-1]).sections["quality"]
    assert isinstance(quality, Quality)
    assert [day.rows for day in quality.versions[-1].days] == [-1, 2 * ROWS, -1, -1]


def test_days_are_compared_again_with_another_baseline_and_beside_another_version(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    run(store, listener)
    mark(store, DAYS[-1])
    give_baseline(store, "diagnosis", 1, baseline)
    sketch = Sketch(baseline)
    sketch.fold(watched_models.rows_of(1), {})
    write_part(store, part_key("diagnosis", 1, DAYS[0], "env", 0), sketch.document())
    run(store, listener)
    assert [day.rows for day in drift_of(store, DAYS[-1])] == [ROWS, ROWS, -1, -1]
    give_baseline(store, "diagnosis", 2, draw_baseline(watched_models.rows_of(5)))
    watched_models.count(store, baseline, DAYS[0], 9)
    run(store, listener)
    assert [(day.rows, day.elsewhere) for day in drift_of(store, DAYS[-1])] == [(0, 2 * ROWS), *[(0, ROWS)] * 3]


def test_night_after_night_the_report_is_what_one_that_knows_of_none_before_would_tell(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    for day in (*DAYS[1:], "2026-11-05"):
        run(store, listener, day)
    kept = report(store, DAYS[-1])
    for entry in store.list("sketches/reports/"):
        store.delete(entry.key)
    run(store, listener)
    for name in ("traffic", "drift", "quality"):
        assert report(store, DAYS[-1]).sections[name] == kept.sections[name]


def test_more_columns_than_a_report_tells_differ_and_those_that_differ_again_alarm(
    store: Store, baseline: Baseline, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxlet.monitor.report.drift.MOST_COLUMNS", 0)
    watched_models.drift(store, baseline)
    for day in (DAYS[-1], "2026-11-05"):
        run(store, listener, day)
    assert [(day.alarms, day.columns) for day in drift_of(store, DAYS[-1])] == [((), ())] * 3 + [(("radius",), ())]


@pytest.mark.parametrize("url", ["directory_url", "s3_store_url"])
def test_two_runs_at_once_count_once_and_open_each_alarm_once(
    url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store, listener = open_store(request.getfixturevalue(url)), Listener()
    watched_models.drift(store, watched_models.publish(store, tmp_path))
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: run(store, Listener()), range(2)))
    assert [each.failed for each in runs] == [{}, {}]
    run(store, listener)
    assert [read_window(store, "diagnosis", 2, day).rows for day in DAYS] == [ROWS] * 4
    assert alarms(store) == [("drift", 2, "radius")]
    assert len(read_log(store, "diagnosis")) == 1


def test_wherever_a_run_is_killed_the_next_comes_to_the_same_end(baseline: Baseline, store: Store) -> None:
    """A store that dies at its n-th call, for every n that a run has."""

    def state(store: Store) -> tuple[object, ...]:
        told = report(store, DAYS[-1])
        rows = [read_window(store, "diagnosis", 2, day).rows for day in DAYS]
        entries = [[(each.what, each.about) for each in entry.changes] for entry in read_log(store, "diagnosis")]
        return rows, alarms(store), entries, {name: told.sections[name] for name in ("traffic", "drift", "quality")}

    watched_models.drift(store, baseline)
    objects = {entry.key: store.get(entry.key).data for entry in store.list("")}
    calls: list[str] = []
    run(WatchedStore(store, lambda *call: calls.append(" ".join(call))), Listener())
    wanted = state(store)
    assert len(calls) > 30
    for last in range(0, len(calls), 3):
        copy = open_store(f"memory://{uuid.uuid4().hex}")
        for key, data in objects.items():
            copy.put(key, data)
        left = iter(range(last))

        def die(*_: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise StoreUnavailableError("killed")

        with pytest.raises(StoreUnavailableError):
            run(WatchedStore(copy, die), Listener())
        listener = Listener()
        run(copy, listener)
        assert state(copy) == wanted, calls[last]


def test_a_run_without_time_leaves_the_rest_to_the_next_which_begins_with_it(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    for model in ("aa", "bb"):
        give_baseline(store, model, 1, baseline)
        sketch = Sketch(baseline)
        sketch.fold(watched_models.rows_of(1), {})
        write_part(store, part_key(model, 1, DAYS[0], "env", 0), sketch.document())
    first = run(store, listener, out_of_time=lambda: any(store.list("sketches/reports/")))
    assert (first.watched, first.left) == (("diagnosis",), ("aa", "bb"))
    second = run(store, listener)
    assert second.watched == ("aa", "bb", "diagnosis")
    assert second.left == ()


def test_a_report_that_was_damaged_is_written_again(store: Store, baseline: Baseline, listener: Listener) -> None:
    watched_models.drift(store, baseline)
    run(store, listener)
    store.put(f"sketches/reports/diagnosis/{DAYS[-1]}.json", b"{")
    assert run(store, listener).failed == {}
    assert report(store, DAYS[-1]).findings
    assert len(listener.heard) == 1


def test_a_mute_that_ends_and_what_was_acknowledged_are_in_the_report_of_the_same_day(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    note = Note("ann", "2026-11-05T00:30:00.000000Z", "moving")
    turn(store, "diagnosis", note, lambda book: mute(book, "radius", note))
    run(store, listener)
    assert listener.told() == []
    turn(store, "diagnosis", note, lambda book: unmute(book, "radius"))
    assert run(store, listener).reported in {(), ("diagnosis",)}
    assert listener.told() == [("drift found", "radius")]
    turn(store, "diagnosis", note, lambda book: acknowledge(book, None, note))
    run(store, listener)
    assert "ann, 2026-11-05: moving" in report(store, DAYS[-1]).page()


def test_what_is_wrong_with_one_model_harms_no_other(store: Store, baseline: Baseline, listener: Listener) -> None:
    watched_models.drift(store, baseline)
    store.put(f"sketches/live/broken/1/{DAYS[0]}/merged.json", b"[]")
    done = run(store, listener)
    assert done.watched == ("diagnosis",)
    assert "is no merged sketch" in done.failed["broken"]


def test_a_store_that_does_not_answer_ends_the_run(store: Store, baseline: Baseline, listener: Listener) -> None:
    watched_models.drift(store, baseline)

    def fail(method: str, key: str) -> None:
        if method == "put":
            raise StoreUnavailableError(key)

    with pytest.raises(StoreUnavailableError):
        run(WatchedStore(store, fail), listener)


def test_nothing_was_counted_and_nothing_is_wrong(store: Store, listener: Listener, tmp_path: Path) -> None:
    """Neither in an empty store nor where a model has no baseline, so that nothing is counted."""
    assert run(store, listener) == WatchRun(DAYS[-1])
    watched_models.publish(store, tmp_path)
    assert run(store, listener) == WatchRun(DAYS[-1])


def test_silence_is_told_once_and_its_end_too(store: Store, baseline: Baseline, listener: Listener) -> None:
    watched_models.count(store, baseline, DAYS[0], 1)
    for day in ("2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05"):
        run(store, listener, day)
    assert listener.told() == [("no traffic found", "")]
    watched_models.count(store, baseline, "2026-11-05", 2)
    run(store, listener, "2026-11-06")
    assert listener.told() == [("no traffic found", ""), ("no traffic over", "")]


def test_a_rollback_in_the_middle_of_a_drift_ends_the_alarm_of_the_version_that_is_left(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    run(store, listener)
    Registry(store).rollback("diagnosis")
    give_baseline(store, "diagnosis", 1, baseline)
    for day, seed in (("2026-11-05", 11), ("2026-11-06", 12)):
        sketch = Sketch(baseline)
        sketch.fold(watched_models.rows_of(seed), {})
        write_part(store, part_key("diagnosis", 1, day, "env", 0), sketch.document())
    run(store, listener, "2026-11-06")
    assert listener.told()[1:] == []
    run(store, listener, "2026-11-07")
    assert listener.told()[1:] == [("drift over", "radius")]
    assert alarms(store) == []


def test_days_of_clocks_that_are_off_neither_alarm_nor_stop_anything(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    for day in ("1970-01-01", *DAYS, "2026-11-05", "2099-12-31"):
        watched_models.count(store, baseline, day, 1, shift=1.0 if day not in DAYS else 0.0)
    done = run(store, listener)
    assert (done.failed, done.windows, listener.heard) == ({}, 5, [])
    told = report(store, DAYS[-1]).sections["drift"]
    assert isinstance(told, Drift)
    assert [day.day for day in told.versions[-1].days] == list(DAYS)


def test_a_flush_that_comes_twice_counts_once_and_a_lost_one_lacks(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.count(store, baseline, DAYS[0], 1)
    key = next(entry.key for entry in store.list("sketches/live/"))
    part = store.get(key).data
    run(store, listener, DAYS[1])
    store.put(key, part)
    store.put(key.replace("000000", "000002"), part)
    run(store, listener, DAYS[1])
    assert read_window(store, "diagnosis", 2, DAYS[0]).rows == 2 * ROWS
    assert [entry.key.rpartition("/")[2] for entry in store.list("sketches/live/")] == ["merged.json"]


def test_sketches_of_another_schema_are_counted_as_unreadable_and_do_no_harm(
    store: Store, baseline: Baseline, listener: Listener
) -> None:
    watched_models.drift(store, baseline)
    store.put(f"sketches/live/diagnosis/2/{DAYS[0]}/newer-000000.json", b'{"schema":9}')
    assert run(store, listener).failed == {}
    assert "unreadable sketches" in report(store, DAYS[-1]).page()
    assert listener.told() == [("drift found", "radius")]


def test_metrics_are_lines_that_cloudwatch_takes(
    store: Store, baseline: Baseline, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    watched_models.drift(store, baseline)
    now = datetime(2026, 11, 5, 1, tzinfo=UTC)
    watch = Watch(store, announcer=listener, tell=partial(tell_metrics, "watch"), clock=lambda: now)
    watch.run()
    watch.run()
    lines = [check(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["model"], line["version"], line["alias"]) for line in lines] == [("diagnosis", "2", "production")] * 2
    first, second = lines
    assert first["Drift"] > 0.5
    names = ("DriftedColumns", "QualityFaults", "QuietDays", "StaleBaseline", "OpenAlarms", "Windows")
    assert [first[name] for name in names] == [1, 0, 0, 0, 1, 4]
    assert [second[name] for name in names] == [1, 0, 0, 0, 1, 0]
    assert first["_aws"]["Timestamp"] == int(now.timestamp() * 1000)


@pytest.fixture
def queue(s3_environment: str) -> Iterator[Any]:
    """What a rule for found drifts of `diagnosis` sends there."""
    assert s3_environment
    name = f"queue-{uuid.uuid4().hex}"
    queue = boto3.resource("sqs").create_queue(QueueName=name)
    events = boto3.client("events")
    pattern = {"source": ["onnxlet"], "detail-type": ["drift found"], "detail": {"aliases": ["production"]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue.attributes["QueueArn"]}])
    yield queue
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)


def read_events(queue: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - boto3 has no types
    return [json.loads(message.body) for message in queue.receive_messages(MaxNumberOfMessages=10)]


def test_a_rule_of_eventbridge_hears_what_it_asks_for(store: Store, baseline: Baseline, queue: Any) -> None:  # noqa: ANN401
    watched_models.drift(store, baseline)
    watch = Watch(store, announcer=EventBridge(), clock=lambda: datetime(2026, 11, 5, 1, tzinfo=UTC))
    assert watch.run().events == 1
    (event,) = read_events(queue)
    assert (event["source"], event["detail-type"], event["time"]) == ("onnxlet", "drift found", "2026-11-05T01:00:00Z")
    detail = event["detail"]
    assert (detail["model"], detail["version"], detail["aliases"]) == ("diagnosis", 2, ["production"])
    assert (detail["about"], detail["state"]) == ("radius", "found")
    assert watch.run().events == 0


def test_events_wait_while_the_bus_is_unreachable_and_come_once_it_answers(
    store: Store,
    baseline: Baseline,
    queue: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched_models.drift(store, baseline)
    watch = Watch(store, announcer=EventBridge(), clock=lambda: datetime(2026, 11, 5, 1, tzinfo=UTC))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with monkeypatch.context() as context:
            context.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", f"http://127.0.0.1:{nobody.getsockname()[1]}")
            done = watch.run()
    assert (done.events, done.waiting, done.failed) == (0, 1, {})
    assert "1 events wait" in caplog.text
    assert report(store, DAYS[-1]).findings
    assert watch.run().events == 1
    assert len(read_events(queue)) == 1
    assert read_book(store, "diagnosis").outbox == ()


@pytest.mark.slow
def test_ten_thousand_columns_are_watched_and_tell_of_their_drift_once(store: Store, listener: Listener) -> None:
    random = np.random.default_rng(0)

    def rows(shift: float) -> dict[str, np.ndarray[Any, Any]]:
        return {"x": random.normal(shift, 1, (200, 10_000)).astype(np.float32)}

    (column,) = draw_baseline({"x": random.normal(size=200)}).columns
    columns = tuple(msgspec.structs.replace(column, name=f"x[{place}]") for place in range(10_000))
    baseline = Baseline(200, columns)
    give_baseline(store, "wide", 1, baseline)
    for day in DAYS[:2]:
        sketch = Sketch(baseline)
        sketch.fold(rows(1.0), {})
        write_part(store, part_key("wide", 1, day, "env", 0), sketch.document())
    assert run(store, listener, DAYS[2]).failed == {}
    assert listener.told() == [("drift found", "")]
    assert listener.heard[0].says.startswith("drift in 100")
    assert len(store.get(f"sketches/reports/wide/{DAYS[1]}.json").data) < 2**20
