"""That what the template allows each function is enough: their work is done on a store that refuses all else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from guarded import Guarded
from machines import Machine
from models import tiny
from onnxlet.batch.events import handle
from onnxlet.batch.formats import blocks
from onnxlet.errors import ContractFailedError, ModelNotFoundError, StoreUnavailableError
from onnxlet.jobs import estimates
from onnxlet.jobs.orders import order_landed
from onnxlet.local.step_functions import ExecutionFailedError
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.alarms.ledger import read_book
from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.watch.run import Watch
from onnxlet.monitor.windows import part_key, write_part
from onnxlet.registry.reading.requirements import Requirements
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref
from templates import FUNCTIONS


@pytest.fixture
def published(store: Store, tmp_path: Path) -> Store:
    """A store with two versions of `diagnosis`; the second is in production."""
    for bias in (0.0, 1.0):
        tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / str(bias), bias=bias))
    return store


def _predictor(store: Store, tmp_path: Path) -> Predictor:
    return Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))


def test_predict_may_do_what_it_does(published: Store, tmp_path: Path) -> None:
    predictor = _predictor(Guarded(published, "Predict"), tmp_path)
    predictor.ready()
    assert predictor.served(parse_ref("diagnosis")).version == 2
    assert predictor.served(parse_ref("diagnosis:1")).version == 1
    assert predictor.statuses("diagnosis")
    with pytest.raises(ModelNotFoundError):
        predictor.served(parse_ref("nobody"))


def test_api_may_do_what_it_does(published: Store) -> None:
    registry = Registry(Guarded(published, "Api"))
    assert registry.models() == ["diagnosis"]
    assert [it.number for it in registry.versions("diagnosis")] == [1, 2]
    assert registry.manifest("diagnosis", 1).version == 1
    assert registry.aliases("diagnosis").keys() == {"production"}
    registry.promote("diagnosis", 1)
    Registry(published).require(Requirements(require_contract=True))
    with pytest.raises(ContractFailedError):
        registry.promote("diagnosis", 2)
    registry.promote("diagnosis", 2, alias="candidate", force=True, why="a tiny graph")
    registry.rollback("diagnosis")
    assert registry.verify_history("diagnosis") == len(registry.history("diagnosis"))
    registry.delete("diagnosis", 1, force=True)
    assert [it.state for it in registry.versions("diagnosis") if it.number == 1] != ["published"]


def test_api_may_not_write_a_version(published: Store, tmp_path: Path) -> None:
    draft, files = tiny.classifier_package(tmp_path / "third")
    with pytest.raises(StoreUnavailableError, match=r"may not s3:PutObject 'models/"):
        Registry(Guarded(published, "Api")).publish("diagnosis", draft, files)


@pytest.mark.parametrize("content", [b"radius,texture\n1,2\n,2\n", b""], ids=["rows", "nothing"])
def test_score_may_do_what_it_does(published: Store, tmp_path: Path, content: bytes) -> None:
    event = json.loads((Path(__file__).parents[1] / "events" / "score-sqs.json").read_text())
    key = json.loads(event["Records"][0]["body"])["detail"]["object"]["key"]
    published.put(key, content)
    guarded = Guarded(published, "Score")
    answer = handle(guarded, _predictor(guarded, tmp_path), event)
    written = {entry.key for entry in published.list("batch/out/")}
    assert any(path.endswith(".book.json") for path in written)
    assert bool(content) == (answer == {"batchItemFailures": []})


def test_watch_may_do_what_it_does(published: Store) -> None:
    baseline = draw_baseline({"radius": np.arange(200.0)})
    give_baseline(published, "diagnosis", 2, baseline)
    for day in ("2026-11-27", "2026-11-28"):
        sketch = Sketch(baseline)
        sketch.fold({"radius": np.arange(100.0) + 300}, {})
        write_part(published, part_key("diagnosis", 2, day, "env", 0), sketch.document())
    watch = Watch(Guarded(published, "Watch"), announcer=Deaf(), clock=lambda: datetime(2026, 11, 29, 1, tzinfo=UTC))
    for _ in range(2):
        run = watch.run()
        assert (run.failed, run.watched) == ({}, ("diagnosis",))
    assert read_book(published, "diagnosis").alarms
    with pytest.raises(StoreUnavailableError):
        Guarded(published, "Watch").delete("sketches/alarms/diagnosis/log/0000000001.json")


class Deaf:
    """Takes no event."""

    def announce(self, events: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
        return events


@pytest.mark.parametrize("content", [b"radius,texture\n" + b"1,2\n,2\n" * 900, b"radius\n1\n"], ids=["rows", "header"])
def test_the_functions_of_the_state_machine_may_do_what_they_do(
    published: Store, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "RANGE_BYTES", 2048)
    monkeypatch.setattr(estimates, "LEAST_SECTION", 4096)
    key = "batch/in/diagnosis/20261129T190000-0123abcd/rows.csv"
    published.put(key, content)
    machine = Machine(published, _predictor(published, tmp_path))

    def take_role(event: dict[str, object]) -> None:
        function = {"section": "Score", "finish": "Finish"}.get(str(event["step"]), "Plan")
        machine.store = Guarded(published, function)
        machine.predictor = _predictor(machine.store, tmp_path)

    machine.before = take_role
    with suppress(ExecutionFailedError):
        machine.run(order_landed(key, "diagnosis"))
    assert len(machine.events) == 1
    assert machine.taken["finish"] == (1 if b"texture" in content else 0)


def test_no_function_may_remove_what_was_promised_to_stay(published: Store) -> None:
    for function in FUNCTIONS:
        with pytest.raises(StoreUnavailableError):
            Guarded(published, function).delete("history/diagnosis/production/0000000001.json")
