"""That monitoring may do what it does, and no more: the template allows each of its calls, and each right is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
import numpy as np
import orjson
import pytest
import requests

from captures import captured
from doors import COLUMNS, FEATURES, Shop
from guarded import Guarded
from onnxlet.batch.objects import score_object
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request
from onnxlet.monitor import row_watchers
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.alarms.ledger import read_book
from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.capture.labels import GivenLabel, bring_labels
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.watch.run import Watch
from onnxlet.monitor.windows import part_key, write_part
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.telemetry.recording import Telemetry
from onnxlet.values.keys import capture_key
from onnxlet.values.timestamps import day_of, utc_now
from policies import allows
from templates import FUNCTIONS, stack, statements

ROWS = np.random.default_rng(0).normal(size=(40, FEATURES)).astype(np.float32)
POLICY = {
    "columns": {COLUMNS[0]: "hash"},
    "outputs": {"label": "keep"},
    "request_id": "keep",
    "retention_days": 10,
}
BASELINE = draw_baseline({name: np.arange(200.0) for name in COLUMNS[1:]})
MONITORING = ("sketches/", "capture/", "labels/")


def used_of_monitoring(guarded: Guarded) -> set[tuple[str, str]]:
    return {(action, pattern) for action, pattern in guarded.used if pattern.startswith(MONITORING)}


def allowed_of_monitoring(guarded: Guarded) -> set[tuple[str, str]]:
    return {(action, pattern) for action, pattern in guarded.allowed if pattern.startswith(MONITORING)}


def publish(store: Store, folder: Path) -> None:
    """A version whose rows are counted, and captured under a key."""
    Shop(store, folder).publish_diagnosis(policy=POLICY)
    give_baseline(store, "diagnosis", 1, BASELINE)


def drift(store: Store) -> None:
    """The newest two days that are over have other rows than the baseline."""
    for days in (1, 2):
        sketch = Sketch(BASELINE)
        sketch.fold({name: np.arange(100.0) + 300 for name in COLUMNS[1:]}, {})
        day = day_of(utc_now() - timedelta(days=days))
        write_part(store, part_key("diagnosis", 1, day, "env", 0), sketch.document())


def predict(store: Store, folder: Path, settings: Settings) -> None:
    """Answer rows as Predict does, and write what is due."""
    telemetry = Telemetry()
    for open_watcher in row_watchers(store, settings):
        telemetry.watch_with(lambda opened=open_watcher: opened(telemetry))  # type: ignore[misc] # lambda's default
    dataplane = DataPlane(Predictor(store, Settings(cache_dir=str(folder / "cache")), telemetry=telemetry))
    body = orjson.dumps({"instances": ROWS.tolist()})
    answer = dataplane.answer(Request("POST", "/v1/models/diagnosis:predict", body=body, id="visit-42"))
    assert answer.status == 200, answer.body
    telemetry.flush(final=True)


@contextmanager
def listening(endpoint: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """An address that hands requests on to moto's server, and what was asked of which secret: (action, ARN)."""
    heard: list[tuple[str, str]] = []

    class Relay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            action = self.headers["X-Amz-Target"].replace(".", ":")
            heard.append((action, orjson.loads(body)["SecretId"]))
            answer = requests.post(endpoint, data=body, headers=dict(self.headers), timeout=60)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Relay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()


def test_predict_counts_and_captures_with_what_it_is_allowed_and_with_all_of_it(
    store: Store, tmp_path: Path, s3_environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = boto3.client("secretsmanager").create_secret(Name=tmp_path.name, SecretString="5e" * 32)["ARN"]
    publish(store, tmp_path)
    settings = Settings(function_name="predict", capture_key=secret)
    with listening(s3_environment) as (url, heard):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", url)
        guarded = Guarded(store, "Predict", {"Capture": "true", "CaptureSecretArn": secret})
        predict(guarded, tmp_path, settings)
    assert len(captured(store, "diagnosis")) == len(ROWS)
    assert list(store.list("sketches/live/diagnosis/1/"))
    assert used_of_monitoring(guarded) == allowed_of_monitoring(guarded)
    assert heard == [("secretsmanager:GetSecretValue", secret)]
    own = list(statements(stack(**guarded.parameters), "Predict"))
    assert all(allows(own, *asked) for asked in heard)
    assert not allows(own, "secretsmanager:GetSecretValue", secret.replace(tmp_path.name, "another"))
    assert not allows(own, "secretsmanager:PutSecretValue", secret)


def test_where_nothing_is_captured_predict_may_write_no_row_and_read_no_secret(store: Store, tmp_path: Path) -> None:
    publish(store, tmp_path)
    guarded = Guarded(store, "Predict")
    predict(guarded, tmp_path, Settings(function_name="predict", capture_key=f"hex:{'5e' * 32}"))
    assert captured(store, "diagnosis") == []
    assert list(store.list("sketches/live/diagnosis/1/"))
    assert used_of_monitoring(guarded) == allowed_of_monitoring(guarded)
    for function in FUNCTIONS:
        own = [it for it in statements(stack(), function) if "secretsmanager" in str(it["Action"])]
        assert not own


def test_score_counts_the_rows_of_files_with_what_it_is_allowed_and_with_all_of_it(
    store: Store, tmp_path: Path
) -> None:
    publish(store, tmp_path)
    key = "batch/in/diagnosis/ward.csv"
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in ROWS.tolist())]
    store.put(key, "\n".join(lines).encode())
    guarded = Guarded(store, "Score")
    score_object(guarded, Predictor(guarded, Settings(cache_dir=str(tmp_path / "cache"))), key)
    assert list(store.list("sketches/live/diagnosis/1/"))
    assert used_of_monitoring(guarded) == allowed_of_monitoring(guarded)


def test_watch_joins_labels_and_removes_rows_with_what_it_is_allowed_and_with_all_of_it(
    store: Store, tmp_path: Path
) -> None:
    publish(store, tmp_path)
    settings = Settings(function_name="predict", capture_key=f"hex:{'5e' * 32}")
    predict(store, tmp_path, settings)
    drift(store)
    ago = utc_now() - timedelta(days=20)
    old = capture_key("diagnosis", 1, day_of(ago), "env", 0)
    (rows,) = (entry.key for entry in store.list("capture/"))
    store.put(old, store.get(rows).data)
    bring_labels(store, ["diagnosis"], [GivenLabel("visit-42", "benign", 3)], ago)
    guarded = Guarded(store, "Watch")
    run = Watch(guarded, announcer=Bus()).run()
    assert (run.failed, run.watched, run.expired) == ({}, ("diagnosis",), 2)
    assert read_book(store, "diagnosis").alarms
    again = Watch(guarded, announcer=Bus()).run()
    assert (again.failed, again.expired) == ({}, 0)
    assert used_of_monitoring(guarded) == allowed_of_monitoring(guarded)


class Bus:
    """Takes every event."""

    def announce(self, events: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
        return events[:0]
