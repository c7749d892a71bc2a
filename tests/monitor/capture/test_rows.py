"""Captured rows: asked over HTTP, masked at once, written after the answer, within caps, and lost only audibly."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from captures import captured, captures
from doors import COLUMNS, FEATURES, Shop
from faults import WatchedStore
from onnxlet.dataplane.messages import Request
from onnxlet.errors import StoreUnavailableError, UnavailableError
from onnxlet.monitor.capture.data_key import DataKey
from onnxlet.monitor.capture.rows import share_of
from onnxlet.monitor.capture.watcher import PAUSE, CapturedRows
from onnxlet.store import Store, open_store
from onnxlet.telemetry import CAPTURED_ROWS, UNCAPTURED_ROWS
from onnxlet.telemetry.recording import Telemetry

KEY = DataKey(b"k" * 32)
AGE, NAME = COLUMNS[0], COLUMNS[1]
POLICY: dict[str, Any] = {
    "columns": {AGE: {"rule": "bucket", "width": 10}, NAME: "hash", COLUMNS[2]: "drop", COLUMNS[3]: "keep"},
    "outputs": {"label": "keep", "probabilities": {"rule": "round", "digits": 2}},
    "request_id": "keep",
    "time": "keep",
}
ROWS = np.random.default_rng(0).normal(50, 20, size=(8, FEATURES)).astype(np.float32)


class Ward:
    """A data plane whose classifier has a policy, and the counts of what became of its rows."""

    def __init__(self, store: Store, folder: Path, policy: dict[str, Any], written: Store | None = None) -> None:
        self.now = 1_796_000_000.0
        self.counts: Counter[str] = Counter()
        self.watcher = CapturedRows(written or store, lambda: KEY, self.count, clock=lambda: self.now)
        self.telemetry = Telemetry(rows=10_000)
        self.telemetry.watch_with(lambda: self.watcher)
        self.shop = Shop(store, folder, telemetry=self.telemetry)
        self.shop.publish_diagnosis(policy=policy)

    def count(self, model: str, version: int, metric: str, rows: int) -> None:
        assert (model, version) == ("diagnosis", 1)
        self.counts[metric] += rows

    def ask(self, rows: np.ndarray = ROWS, request_id: str = "visit-42", *, named: bool = False) -> None:
        instances = [dict(zip(COLUMNS, row, strict=True)) for row in rows.tolist()] if named else rows.tolist()
        signature = {"signature_name": "columns"} if named else {}
        body = orjson.dumps({"instances": instances, **signature})
        request = Request("POST", "/v1/models/diagnosis:predict", body=body, id=request_id)
        answer = self.shop.dataplane.answer(request)
        assert answer.status == 200, answer.body
        assert answer.headers["X-Onnxlet-Request-Id"] == request_id


@pytest.fixture
def ward(store: Store, tmp_path: Path) -> Ward:
    return Ward(store, tmp_path, POLICY)


@pytest.mark.parametrize("named", [True, False], ids=["as columns", "as a matrix"])
def test_rows_are_captured_as_the_rules_leave_them(store: Store, ward: Ward, named: bool) -> None:
    ward.ask(named=named)
    ward.telemetry.flush()
    rows = captured(store, "diagnosis")
    assert len(rows) == len(ROWS)
    for place, (row, sent) in enumerate(zip(rows, ROWS, strict=True)):
        assert (row["id"], row["version"], row["row"]) == ("visit-42", 1, place)
        assert row["time"].endswith("Z")
        low = sent[0] // 10 * 10
        assert row["columns"][AGE] == f"[{low:g}, {low + 10:g})"
        assert len(row["columns"][NAME]) == 32
        assert row["columns"][COLUMNS[3]] == pytest.approx(float(sent[3]))
        assert row["columns"].keys() == {AGE, NAME, COLUMNS[3]}
        assert row["outputs"].keys() == {"label", "probabilities"}
        assert sum(row["outputs"]["probabilities"]) == pytest.approx(1, abs=0.02)
    assert ward.counts == {CAPTURED_ROWS: 8}


def test_objects_lie_by_model_version_and_day_and_are_written_once(store: Store, ward: Ward) -> None:
    ward.ask()
    ward.telemetry.flush()
    ward.ask()
    ward.telemetry.flush()
    keys = [entry.key for entry in store.list("capture/")]
    assert len(keys) == 2
    prefix, day, name = keys[0].rsplit("/", 2)
    assert prefix == "capture/diagnosis/1"
    assert len(day) == 10
    assert name.endswith("-000000.jsonl.gz")
    assert keys[1].endswith("-000001.jsonl.gz")


def test_a_direct_invocation_may_bring_its_own_id(store: Store, ward: Ward) -> None:
    event = {"model": "diagnosis", "instances": ROWS[:1].tolist()}
    assert ward.shop.dataplane.invoke(event | {"request_id": "visit-7"}, "lambda-1")["request_id"] == "visit-7"
    assert ward.shop.dataplane.invoke(event | {"request_id": "no id\n"}, "lambda-2")["request_id"] == "lambda-2"
    assert "request_id" not in ward.shop.dataplane.invoke(event, "lambda-3")
    ward.telemetry.flush()
    assert [row["id"] for row in captured(store, "diagnosis")] == ["visit-7", "lambda-2", "lambda-3"]


def test_without_a_policy_or_where_it_captures_nothing_nothing_is_written(store: Store, tmp_path: Path) -> None:
    for folder, policy in enumerate(({}, {"columns": {AGE: "count"}, "request_id": "keep"})):
        ward = Ward(store, tmp_path / str(folder), policy)
        ward.ask()
        ward.telemetry.flush(final=True)
    shop = Shop(store, tmp_path / "plain", telemetry=ward.telemetry)
    shop.publish_echo("plain", "FP32", -1, 2)
    shop.predict("plain", orjson.dumps({"instances": [[1.0, 2.0]]}))
    ward.telemetry.flush(final=True)
    assert not list(store.list("capture/"))


def test_a_dropped_version_is_in_no_key_and_a_bucketed_time_is_a_beginning(store: Store, tmp_path: Path) -> None:
    policy = {**POLICY, "version": "drop", "request_id": "hash", "time": {"rule": "bucket", "width": 3600}}
    ward = Ward(store, tmp_path, policy)
    ward.ask(ROWS[:1])
    ward.telemetry.flush()
    (row,) = captured(store, "diagnosis")
    assert "version" not in row
    assert row["time"][13:] == ":00:00Z"
    assert "visit" not in row["id"]
    assert [entry.key.split("/")[2] for entry in store.list("capture/")] == ["any"]


def test_a_share_of_requests_is_captured_and_their_ids_alone_decide(store: Store, tmp_path: Path) -> None:
    ward = Ward(store, tmp_path, {**POLICY, "sample": 0.5})
    ids = [f"visit-{number}" for number in range(40)]
    for request_id in ids:
        ward.ask(ROWS[:1], request_id)
    ward.telemetry.flush()
    assert sorted(row["id"] for row in captured(store, "diagnosis")) == sorted(it for it in ids if share_of(it) < 0.5)
    assert UNCAPTURED_ROWS not in ward.counts


def test_caps_bound_rows_of_a_request_and_rows_and_bytes_of_an_hour(store: Store, tmp_path: Path) -> None:
    caps = {"rows_per_request": 3, "rows_per_hour": 5}
    ward = Ward(store, tmp_path / "rows", {**POLICY, **caps})
    ward.ask()
    ward.ask()
    ward.telemetry.flush()
    assert len(captured(store, "diagnosis")) == ward.counts[CAPTURED_ROWS] == 5
    assert ward.counts[UNCAPTURED_ROWS] == 11
    other = open_store("memory://bytes-of-an-hour")
    ward = Ward(other, tmp_path / "bytes", {**POLICY, "bytes_per_hour": 900})
    ward.ask()
    ward.telemetry.flush()
    assert sum(len(lines) for lines in captures(other, "diagnosis")) <= 900


class Full(WatchedStore):
    """Takes no captured row while it is `full`."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, self._refuse)
        self.full = True
        self.tried = 0

    def _refuse(self, method: str, key: str) -> None:
        if method == "create" and key.startswith("capture/"):
            self.tried += 1
            if self.full:
                raise StoreUnavailableError("'s3://models' denies access")


def test_what_a_full_store_refuses_waits_and_the_caller_notices_nothing(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    full = Full(store)
    ward = Ward(store, tmp_path, POLICY, full)
    for _ in range(3):
        ward.ask()
        ward.telemetry.flush()
    assert full.tried == 1, "a store that refused is left alone for a while"
    assert [record.getMessage() for record in caplog.records] == [
        "diagnosis:1: captured rows wait: 's3://models' denies access"
    ]
    full.full = False
    ward.now += PAUSE
    ward.telemetry.flush()
    assert len(captured(store, "diagnosis")) == ward.counts[CAPTURED_ROWS] == 24


def test_rows_that_no_store_takes_are_given_up_in_bounds_and_counted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("onnxlet.monitor.capture.watcher.MOST_UNWRITTEN", 1_500)
    ward = Ward(store, tmp_path, POLICY, Full(store))
    for _ in range(6):
        ward.ask()
        ward.telemetry.flush()
    before = ward.counts[UNCAPTURED_ROWS]
    assert 0 < before < 48
    ward.telemetry.flush(final=True)
    assert ward.counts == {UNCAPTURED_ROWS: 48}
    said = [record.getMessage() for record in caplog.records if "not captured" in record.getMessage()]
    assert len(said) == 2, "once that rows are given up, once that the rest ended with the process"


@pytest.mark.usefixtures("s3_environment")
def test_a_bucket_that_is_gone_harms_no_answer(tmp_path: Path, store: Store) -> None:
    ward = Ward(store, tmp_path, POLICY, open_store("s3://nobody-made-this-bucket/prefix"))
    ward.ask()
    ward.telemetry.flush()
    ward.ask()
    ward.telemetry.flush(final=True)
    assert ward.counts == {UNCAPTURED_ROWS: 16}


def test_a_lost_answer_of_the_store_writes_no_row_twice(store: Store, tmp_path: Path) -> None:
    class Lossy(WatchedStore):
        def create(self, key: str, data: bytes | Path) -> str:
            etag = store.create(key, data)
            if not lost:
                lost.append(key)
                raise StoreUnavailableError("the answer was lost")
            return etag

    lost: list[str] = []
    ward = Ward(store, tmp_path, POLICY, Lossy(store, lambda *_: None))
    ward.ask()
    ward.telemetry.flush()
    ward.now += PAUSE
    ward.telemetry.flush()
    assert len(captured(store, "diagnosis")) == ward.counts[CAPTURED_ROWS] == 8


def test_without_the_key_no_row_of_a_policy_that_hashes_is_written(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers: Iterator[DataKey | None] = iter([None, KEY])

    def open_key() -> DataKey:
        key = next(answers)
        if key is None:
            raise UnavailableError("secretsmanager does not answer")
        return key

    ward = Ward(store, tmp_path, POLICY)
    ward.watcher = CapturedRows(store, open_key, ward.count, clock=lambda: ward.now)
    for _ in range(2):
        ward.ask()
        ward.telemetry.flush()
    assert not list(store.list("capture/"))
    assert ward.counts == {UNCAPTURED_ROWS: 16}
    assert "rows are not captured: secretsmanager does not answer" in caplog.text
    ward.now += PAUSE
    ward.ask()
    ward.telemetry.flush()
    assert len(captured(store, "diagnosis")) == 8


def test_a_process_that_goes_on_gathers_rows_before_it_writes(store: Store, tmp_path: Path) -> None:
    ward = Ward(store, tmp_path, POLICY)
    ward.watcher = CapturedRows(store, lambda: KEY, ward.count, rows=20, seconds=60)
    ward.ask()
    ward.telemetry.flush()
    assert not list(store.list("capture/"))
    ward.ask()
    ward.ask()
    ward.telemetry.flush()
    (entry,) = store.list("capture/")
    assert len(zlib.decompress(store.get(entry.key).data, wbits=31).splitlines()) == 24


def test_refused_requests_are_not_captured(store: Store, ward: Ward) -> None:
    assert ward.shop.predict("diagnosis", json.dumps({"instances": [[1.0]]})).status == 400
    ward.telemetry.flush(final=True)
    assert not list(store.list("capture/"))
