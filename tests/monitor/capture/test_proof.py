"""The proof: what a policy drops or hashes is nowhere in what is written, and changes nothing in it."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import requests
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from doors import Shop, spec
from onnxlet.cli.root import cli
from onnxlet.dataplane.lambda_events import handle
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.capture.data_key import DataKey
from onnxlet.monitor.capture.publishing import check_policy, obeying
from onnxlet.monitor.capture.watcher import CapturedRows
from onnxlet.monitor.live import LiveSketches
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.watch.measures import tell_metrics
from onnxlet.monitor.watch.run import Watch
from onnxlet.steps import Column, Steps, Tabular
from onnxlet.store import Store, open_store
from onnxlet.telemetry.embedded import EmbeddedMetrics
from onnxlet.telemetry.recording import Observation, Record, Telemetry
from onnxlet.telemetry.request_log import RequestLog
from onnxlet.values.timestamps import utc_now
from scripted import serving
from sentinels import LENGTH, NUMBER, TEXT, files_below, forms, leaks

EVENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "events" / "predict-http-api.json").read_text())
FUNCTION = Path(__file__).parents[3] / "functions" / "predict" / "app.py"
COLUMNS = {"age": "FP64", "note": "BYTES", "zip": "BYTES", "born": "FP64", "weight": "FP64"}
POLICY: dict[str, Any] = {
    "columns": {
        "note": "drop",
        "weight": "drop",
        "zip": "hash",
        "born": "hash",
        "age": {"rule": "bucket", "width": 10},
    },
    "outputs": {"score": {"rule": "round", "digits": 3}, "echo": "drop"},
    "request_id": "keep",
    "time": "keep",
    "slices": ["zip", "age"],
}
Row = dict[str, Any]
MOMENT = 1_796_000_000.0


def publish(store: Store, folder: Path, telemetry: Telemetry | None = None) -> Shop:
    """A model whose score is the age's alone; a second answer repeats a dropped column."""
    shop = Shop(store, folder, telemetry=telemetry)
    given_columns = tuple(Column(name, datatype) for name, datatype in COLUMNS.items())
    inputs = [spec(name, datatype, -1, 1) for name, datatype in COLUMNS.items()]
    shop.publish(
        "triage",
        inputs,
        [spec("score", "FP64", -1, 1), spec("echo", "BYTES", -1, 1)],
        [
            helper.make_node("Cast", ["age"], ["age32"], to=TensorProto.FLOAT),
            helper.make_node("Sigmoid", ["age32"], ["score32"]),
            helper.make_node("Cast", ["score32"], ["score"], to=TensorProto.DOUBLE),
            helper.make_node("Identity", ["note"], ["echo"]),
        ],
        steps=Steps((Tabular(given_columns),)),
        policy=POLICY,
    )
    model = shop.predictor.served(_ref("triage")).model
    policy = check_policy(POLICY, model.steps, model.manifest.graph, model.manifest.signature)
    many = {
        name: np.array([TEXT] * 60, object) if datatype == "BYTES" else np.full(60, NUMBER)
        for name, datatype in COLUMNS.items()
    } | {"age": np.arange(60.0)}
    give_baseline(store, "triage", 1, obeying(draw_baseline(many, {"score": np.arange(60.0)}), policy))
    return shop


def _ref(name: str) -> Any:  # noqa: ANN401 - a Ref
    from onnxlet.values.refs import parse_ref

    return parse_ref(name)


def v1_rows(rows: list[Row]) -> tuple[str, Any]:
    return "/v1/models/triage:predict", {"instances": rows}


def v1_columns(rows: list[Row]) -> tuple[str, Any]:
    return "/v1/models/triage:predict", {"inputs": {name: [row[name] for row in rows] for name in rows[0]}}


def v2(rows: list[Row]) -> tuple[str, Any]:
    tensors = [
        {"name": name, "datatype": COLUMNS.get(name, "FP64"), "shape": [len(rows)], "data": [row[name] for row in rows]}
        for name in rows[0]
    ]
    return "/v2/models/triage/infer", {"inputs": tensors}


def direct(rows: list[Row]) -> tuple[str, Any]:
    return "", {"model": "triage", "instances": rows}


DOORS: tuple[Callable[[list[Row]], tuple[str, Any]], ...] = (v1_rows, v1_columns, v2, direct)


def event_of(path: str, document: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The event that Lambda gets: an HTTP API's, or a direct invocation where there is no path."""
    if not path:
        return dict(document)
    body = document if isinstance(document, str) else json.dumps(document)
    http = EVENT["requestContext"]["http"] | {"path": path}
    headers = EVENT["headers"] | {"x-onnxlet-request-id": "visit-1"}
    context = EVENT["requestContext"] | {"http": http}
    return EVENT | {"rawPath": path, "headers": headers, "requestContext": context, "body": body}


def secret_rows(count: int, **changes: object) -> list[Row]:
    row = {"age": 63.0, "note": TEXT, "zip": TEXT, "born": NUMBER, "weight": NUMBER}
    return [row | {"age": 20.0 + place} | changes for place in range(count)]


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, Path]]:
    """The predict function itself, which writes at the end of each invocation, and the folder of all that it writes."""
    folder = tmp_path / "written"
    store = open_store((folder / "store").as_uri())
    publish(store, tmp_path / "shop")
    (tmp_path / "key").write_text("ab" * 32)
    for name, value in {
        "ONNXLET_STORE": (folder / "store").as_uri(),
        "ONNXLET_CACHE_DIR": str(folder / "cache"),
        "ONNXLET_CAPTURE_KEY": (tmp_path / "key").as_uri(),
        "ONNXLET_REQUEST_LOG": "true",
        "ONNXLET_TELEMETRY_ROWS": "1",
        "AWS_LAMBDA_FUNCTION_NAME": "predict",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)
    module_spec = importlib.util.spec_from_file_location("predict_that_is_proven", FUNCTION)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    yield module, folder
    sys.modules.pop("predict_that_is_proven", None)


def ask(module: ModuleType, event: Mapping[str, Any]) -> tuple[Any, bytes]:
    """The answer, and what an error that Lambda would log says."""
    try:
        return module.handler(event, None), b""
    except Exception as error:  # noqa: BLE001 - Lambda logs whatever is raised
        return None, "".join(traceback.format_exception(error)).encode()


def test_no_form_of_a_dropped_or_hashed_value_is_in_anything_that_is_written(
    predict: tuple[ModuleType, Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    module, folder = predict
    caplog.set_level(logging.DEBUG)
    raised = []
    for door in DOORS:
        answer, error = ask(module, event_of(*door(secret_rows(30))))
        raised.append(error)
        assert TEXT in json.dumps(answer), "the caller is answered with what was sent"
    module.telemetry.flush(final=True)
    store = open_store((folder / "store").as_uri())
    rows = [line for each in store.list("capture/") for line in _lines(store, each.key)]
    assert len(rows) == 30 * len(DOORS)
    assert {row["columns"]["zip"] for row in rows}.isdisjoint({TEXT, None})
    assert all(row["columns"].keys() == {"age", "zip", "born"} and row["outputs"].keys() == {"score"} for row in rows)
    assert list(store.list("sketches/live/")), "sketches were written as well"
    tell_all(store, tmp_path)
    out, err = capfd.readouterr()
    assert '"CapturedRows"' in out
    logged = [record.getMessage().encode() for record in caplog.records]
    files = files_below(folder, tmp_path / "events")
    assert leaks([*files, out.encode(), err.encode(), *logged, *raised]) == []


def tell_all(store: Store, folder: Path) -> None:
    """Everything that tells of what was captured: labels, reports, alarms, metrics, TensorBoard, commands."""
    (folder / "outcomes.csv").write_text(
        "request_id,row,label\n" + "".join(f"visit-1,{row},0.5\n" for row in range(30))
    )
    tomorrow = utc_now() + timedelta(days=1)

    class Printer:
        def announce(self, events: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
            print(list(events))  # noqa: T201 - it is searched
            return ()

    for words in (
        ["label", str(folder / "outcomes.csv")],
        ["watch", "triage"],
        ["watch", "triage", "--json"],
        ["capture", "list"],
        ["capture", "show", "triage", "-n", "200"],
        ["show", "triage"],
        ["tensorboard", "--logdir", str(folder / "events")],
    ):
        done = CliRunner().invoke(cli, ["--store", store.url, *words])
        assert done.exit_code == 0, (words, done.output)
        print(done.output)  # noqa: T201 - it is searched
    told = partial(tell_metrics, "watch")
    assert Watch(store, announcer=Printer(), tell=told, clock=lambda: tomorrow).run().reported == ("triage",)
    assert any(entry.key.endswith(".html") for entry in store.list("sketches/reports/triage/"))


def test_the_local_server_writes_none_of_it_either(tmp_path: Path, directory_url: str) -> None:
    publish(open_store(directory_url), tmp_path / "shop")
    environ = {"ONNXLET_CAPTURE_KEY": "hex:" + "ab" * 32, "ONNXLET_REQUEST_LOG": "true"}
    with serving(directory_url, tmp_path / "serving", 0, **environ) as server:
        for door in DOORS[:-1]:
            path, document = door(secret_rows(30))
            assert requests.post(server.url + path, json=document, timeout=20).status_code == 200
            path, document = door(secret_rows(2, weight=TEXT))
            assert requests.post(server.url + path, json=document, timeout=20).status_code == 400
        metrics = requests.get(f"{server.url}/metrics", timeout=20).content
    store = open_store(directory_url)
    assert sum(len(_lines(store, entry.key)) for entry in store.list("capture/")) == 90
    written = files_below(tmp_path / "store", tmp_path / "serving")
    assert leaks([*written, metrics, (tmp_path / "serving.log").read_bytes()]) == []


def test_no_error_of_any_door_writes_or_raises_them_either(
    predict: tuple[ModuleType, Path], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    module, folder = predict
    caplog.set_level(logging.DEBUG)
    wrong = [
        secret_rows(2, weight=TEXT),
        secret_rows(2, born=TEXT),
        secret_rows(2, age=TEXT),
        secret_rows(2, note=NUMBER),
        secret_rows(2, zip=[TEXT, TEXT]),
        secret_rows(2, note={"text": TEXT}),
        secret_rows(2, note=None),
        [{name: value for name, value in row.items() if name != "age"} for row in secret_rows(2)],
        [*secret_rows(1), {"note": TEXT, "born": NUMBER}],
    ]
    statuses = set()
    raised = []
    for door in DOORS:
        for rows in wrong:
            try:
                event = event_of(*door(rows))
            except KeyError:  # columns of unequal length cannot be written so
                continue
            answer, error = ask(module, event)
            raised.append(error)
            if answer is not None and "statusCode" in answer:
                statuses.add(answer["statusCode"])
                assert answer["headers"]["X-Onnxlet-Request-Id"] == "visit-1"
    for broken in (f'{{"instances": [{{"note": "{TEXT}"', f'{{"inputs": "{TEXT}"}}', TEXT, json.dumps([TEXT, NUMBER])):
        for path in ("/v1/models/triage:predict", "/v2/models/triage/infer", "/v1/models/triage:explain", "/nowhere"):
            answer, error = ask(module, event_of(path, broken))
            statuses.add(answer["statusCode"])
            assert answer["headers"]["X-Onnxlet-Request-Id"] == "visit-1"
            raised.append(error)
    binary = {"name": "note", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 20}}
    answer, _ = ask(module, event_of("/v2/models/triage/infer", json.dumps({"inputs": [binary]}) + TEXT))
    statuses.add(answer["statusCode"])
    assert statuses >= {400, 404}
    assert sum(map(bool, raised)) >= 7, "direct invocations raise"
    module.telemetry.flush(final=True)
    out, err = capfd.readouterr()
    logged = [record.getMessage().encode() for record in caplog.records]
    assert leaks([*files_below(folder), out.encode(), err.encode(), *logged, *raised]) == []


def test_the_search_finds_what_is_there() -> None:
    for name, form in forms().items():
        assert name in leaks([b"..." + form + b"..."]), name
    assert leaks([b"nothing", json.dumps({"row": 1}).encode()]) == []


class Recorder:
    """Keeps observations for later."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def fold(self, records: list[Record]) -> None:
        self.seen += [record for record in records if isinstance(record, Observation)]

    def flush(self, *, final: bool) -> None:
        """Nothing is written."""


class Ward:
    """A model that is asked, and what its watchers write of it with clock, ids and key fixed."""

    def __init__(self, folder: Path) -> None:
        telemetry = Telemetry()
        self._recorder = Recorder()
        telemetry.watch_with(lambda: self._recorder)  # type: ignore[arg-type, return-value] # lists are sequences
        self._telemetry = telemetry
        self._shop = publish(open_store(f"memory://{uuid.uuid4().hex}"), folder, telemetry)
        self._baseline = self._shop.registry.store.get("sketches/baselines/triage/1.json").data

    def written(self, event: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, bytes]:
        """All that is written after one request."""
        self._recorder.seen.clear()
        handle(self._shop.dataplane, event, None)
        self._telemetry.fold()
        store = open_store(f"memory://{uuid.uuid4().hex}")
        store.put("sketches/baselines/triage/1.json", self._baseline)
        captured = CapturedRows(store, lambda: DataKey(b"k" * 32), lambda *_: None, environment="env")
        live = LiveSketches(store)
        live._environment = "env"  # noqa: SLF001 - it is drawn by chance
        capsys.readouterr()
        for watcher in (captured, live, EmbeddedMetrics("predict"), RequestLog()):
            for seen in self._recorder.seen:
                seen.time, seen.total, seen.request_id = MOMENT, 0.01, "visit-1"
                assert seen.prediction is not None
                seen.prediction.run = 0.01
            watcher.fold(self._recorder.seen)
            watcher.flush(final=True)
        logs = capsys.readouterr()
        objects = {entry.key: store.get(entry.key).data for entry in store.list("")}
        assert sum(key.startswith("capture/") for key in objects) == 1
        assert sum(key.startswith("sketches/live/") for key in objects) == 1
        return objects | {"out": logs.out.encode(), "err": logs.err.encode()}


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    return Ward(tmp_path_factory.mktemp("ward"))


# as long as each other, because the metrics count the bytes of a body
texts = st.text("abcdefgh", min_size=LENGTH, max_size=LENGTH)
weights = st.integers(1000, 9999).map(lambda number: number + 0.5)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dropped=st.lists(st.tuples(texts, weights, texts, weights), min_size=24, max_size=24), door=st.sampled_from(DOORS)
)
def test_payloads_that_differ_in_dropped_columns_alone_write_the_same_bytes(
    ward: Ward, capsys: pytest.CaptureFixture[str], dropped: list[Any], door: Callable[[list[Row]], tuple[str, Any]]
) -> None:
    kept: list[Row] = [
        {"age": 20.0 + place, "zip": f"{place:05d}", "born": 1e7 + place} for place in range(len(dropped))
    ]
    one = [row | {"note": note, "weight": weight} for row, (note, weight, _, _) in zip(kept, dropped, strict=True)]
    other = [row | {"note": note, "weight": weight} for row, (_, _, note, weight) in zip(kept, dropped, strict=True)]
    first = ward.written(event_of(*door(one)), capsys)
    assert ward.written(event_of(*door(other)), capsys) == first
    changed = [row | {"age": row["age"] + 10} for row in one]
    assert ward.written(event_of(*door(changed)), capsys) != first


def _lines(store: Store, key: str) -> list[Any]:
    import gzip

    return [json.loads(line) for line in gzip.decompress(store.get(key).data).splitlines()]


def test_the_score_is_the_ages_alone(ward: Ward) -> None:
    answer = handle(ward._shop.dataplane, event_of(*direct(secret_rows(1))), None)  # noqa: SLF001 - asked directly
    assert answer["predictions"][0]["score"] == [pytest.approx(1 / (1 + math.exp(-20.0)))]
