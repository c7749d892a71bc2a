"""Rows of files are counted as live rows are: each once, by however many processes, whoever of them is killed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from deliveries import IN, KilledError, make_predictor, publish
from faults import WatchedStore
from machines import Machine
from onnxlet.batch.formats import blocks
from onnxlet.batch.local_files import score_path
from onnxlet.batch.objects import score_object
from onnxlet.errors import InvalidInputError, StoreUnavailableError
from onnxlet.jobs import estimates
from onnxlet.jobs.orders import order_landed
from onnxlet.monitor.baseline import Baseline, draw_baseline
from onnxlet.monitor.sketch import Sketch, SketchDocument
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import FEWEST_ROWS, read_window
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.telemetry.embedded import EmbeddedMetrics
from onnxlet.telemetry.recording import Telemetry
from onnxlet.values.refs import parse_ref
from onnxlet.values.timestamps import day_of, utc_now
from telemetry.embedded_metric_format import check

ROWS = 2000
RANDOM = np.random.default_rng(0)
RADIUS = RANDOM.normal(size=ROWS).round(3).astype(np.float32)
BAD = 97


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "RANGE_BYTES", 2048)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 700)
    monkeypatch.setattr(estimates, "LEAST_SECTION", 4096)


@pytest.fixture
def baseline(store: Store, tmp_path: Path) -> Baseline:
    publish(store, tmp_path)
    baseline = draw_baseline({"radius": RANDOM.normal(size=500), "texture": np.arange(500.0)})
    give_baseline(store, "m", 1, baseline)
    return baseline


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_bytes(table())
    return path


def table(rows: int = ROWS) -> bytes:
    """Every 97th row has no number."""
    lines = [f"P{row},{'x' if row % BAD == 0 else RADIUS[row]},1" for row in range(rows)]
    return "\n".join(["id,radius,texture", *lines, ""]).encode()


def expected(baseline: Baseline, rows: int = ROWS) -> SketchDocument:
    """What is counted of the good rows, each once."""
    good = np.arange(rows) % BAD != 0
    sketch = Sketch(baseline)
    sketch.fold({"radius": RADIUS[:rows][good], "texture": np.ones(good.sum(), dtype=np.float32)}, {})
    return sketch.document()


def counted(store: Store) -> SketchDocument | None:
    sketches = read_window(store, "m", 1, day_of(utc_now())).sketches
    assert len(sketches) <= 1
    return sketches[0] if sketches else None


def counts(document: SketchDocument | None) -> tuple[int, object] | None:
    return None if document is None else (document.rows, document.inputs)


@pytest.mark.parametrize("workers", [1, 3])
def test_good_rows_are_counted_once_by_however_many_processes(
    store: Store, baseline: Baseline, source: Path, tmp_path: Path, workers: int
) -> None:
    predictor = make_predictor(store, tmp_path)
    score_path(predictor, parse_ref("m"), source, tmp_path / "out.csv", workers=workers)
    assert counts(counted(store)) == counts(expected(baseline))
    score_path(predictor, parse_ref("m"), source, tmp_path / "again.csv", workers=workers)
    assert counts(counted(store)) == counts(expected(baseline)), "the same file again on the same day"


def test_workers_that_are_killed_are_counted_once(
    store: Store, baseline: Baseline, source: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(done: int, _: int) -> None:
        children = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
        if len(killed) < 3 and children:
            killed.append(done)
            os.kill(children[0], signal.SIGKILL)

    predictor = make_predictor(store, tmp_path)
    score_path(predictor, parse_ref("m"), source, tmp_path / "out.csv", workers=2, on_progress=kill)
    assert killed
    assert counts(counted(store)) == counts(expected(baseline))


def test_a_job_that_was_killed_and_goes_on_counts_what_it_had(
    store: Store, baseline: Baseline, source: Path, tmp_path: Path
) -> None:
    def die(done: int, size: int) -> None:
        if done > size / 2:
            raise KilledError

    predictor = make_predictor(store, tmp_path)
    with pytest.raises(KilledError):
        score_path(predictor, parse_ref("m"), source, tmp_path / "out.csv", workers=2, on_progress=die)
    assert counted(store) is None
    score_path(predictor, parse_ref("m"), source, tmp_path / "out.csv", workers=2)
    assert counts(counted(store)) == counts(expected(baseline))


def test_files_that_land_are_counted_once_however_often_they_are_delivered(
    store: Store, baseline: Baseline, tmp_path: Path
) -> None:
    store.put(IN, table())
    for _ in range(2):
        score_object(store, make_predictor(store, tmp_path), IN)
        for entry in list(store.list("batch/out/")):
            store.delete(entry.key)
    assert counts(counted(store)) == counts(expected(baseline))


def test_sections_of_large_files_are_counted(store: Store, baseline: Baseline, tmp_path: Path) -> None:
    store.put(IN, table())
    machine = Machine(store, make_predictor(store, tmp_path))
    machine.run(order_landed(IN, "m"))
    assert machine.taken["section"] > 3
    document, whole = counted(store), expected(baseline)
    assert document is not None
    assert 0 <= whole.rows - document.rows < FEWEST_ROWS, "a last section of a few rows is not sketched"
    assert all(ours <= theirs for ours, theirs in zip(document.inputs["radius"], whole.inputs["radius"], strict=True))


def test_answers_are_counted_too(store: Store, source: Path, tmp_path: Path) -> None:
    publish(store, tmp_path)
    outputs = {"label": np.array(["benign", "malignant"] * 50, dtype=object)}
    give_baseline(store, "m", 1, draw_baseline({"radius": np.arange(100.0)}, outputs))
    score_path(make_predictor(store, tmp_path), parse_ref("m"), source, tmp_path / "out.csv")
    document = counted(store)
    assert document is not None
    assert sum(document.outputs["label"]) == document.rows
    assert document.scores


@pytest.mark.parametrize("why", ["no baseline", "switched off", "too few rows", "too many bad rows"])
def test_nothing_is_counted_where_nothing_is_to_be(store: Store, tmp_path: Path, why: str) -> None:
    publish(store, tmp_path)
    if why != "no baseline":
        give_baseline(store, "m", 1, draw_baseline({"radius": np.arange(100.0)}))
    settings = Settings(store=store.url, cache_dir=str(tmp_path / "cache"), monitoring=why != "switched off")
    content = table(FEWEST_ROWS if why == "too few rows" else 200)
    if why == "too many bad rows":
        content = b"id,radius,texture\n" + b"P,x,1\n" * 200
    (tmp_path / "in.csv").write_bytes(content)
    try:
        score_path(Predictor(store, settings), parse_ref("m"), tmp_path / "in.csv", tmp_path / "out.csv")
    except InvalidInputError:
        assert why == "too many bad rows"
    assert not list(store.list("sketches/live/"))


def test_a_store_that_takes_no_counts_harms_no_file(
    store: Store, baseline: Baseline, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(method: str, key: str) -> None:
        if method == "create" and key.startswith("sketches/"):
            raise StoreUnavailableError("read only")

    predictor = make_predictor(WatchedStore(store, refuse), tmp_path)
    with caplog.at_level(logging.WARNING):
        book = score_path(predictor, parse_ref("m"), source, tmp_path / "out.csv")
    assert book.rows is not None
    assert book.rows.scored == expected(baseline).rows
    assert "the rows of m:1 are not counted: read only" in caplog.text


@pytest.mark.usefixtures("baseline")
@pytest.mark.parametrize("why", ["too few", "refused"])
def test_rows_that_no_sketch_counts_are_told_as_those_of_requests_are(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    def refuse(method: str, key: str) -> None:
        if method == "create" and key.startswith("sketches/"):
            raise StoreUnavailableError("read only")

    telemetry = Telemetry()
    telemetry.watch_with(lambda: EmbeddedMetrics("score"))
    settings = Settings(store=store.url, cache_dir=str(tmp_path / "cache"))
    store.put(IN, table(FEWEST_ROWS - 1 if why == "too few" else 200))
    book = score_object(store, Predictor(WatchedStore(store, refuse), settings, telemetry=telemetry), IN)
    telemetry.flush()
    lines = [check(line) for line in capsys.readouterr().out.splitlines()]
    told = [(line["model"], line["UnsketchedRows"]) for line in lines if "UnsketchedRows" in line]
    assert book.rows is not None
    assert told == [("m", book.rows.scored)]
