"""Ranges scored by several processes: the bytes are those of one, whoever of them is killed."""

from __future__ import annotations

import csv
import fcntl
import json
import multiprocessing
import os
import random
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from models import tiny
from onnxlet.batch.formats import blocks, csv_file
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scratch import PREFIX
from onnxlet.errors import InvalidInputError, UnavailableError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store
from onnxlet.values.digests import file_digest
from onnxlet.values.refs import parse_ref

RANGE = 2000
ROWS = 3000

Score = Callable[..., tuple[bytes, bytes]]


@pytest.fixture
def predictor(store: Store, tmp_path: Path) -> Predictor:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    return Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache"), threads=1))


@pytest.fixture
def score(predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Score]:
    """Score a file of small ranges: what stands in its output and in its errors, which its book names."""
    monkeypatch.setattr(blocks, "RANGE_BYTES", RANGE)
    folder = tmp_path / "out"
    folder.mkdir()

    def run(source: Path, workers: int, on_progress: Callable[[int, int], None] | None = None) -> tuple[bytes, bytes]:
        target = folder / source.name
        book = score_path(predictor, parse_ref("m"), source, target, workers=workers, on_progress=on_progress)
        files = [Path(written.key) for written in book.outputs]
        assert [file_digest(file) for file in files] == [written.digest for written in book.outputs]
        assert not list(folder.glob(PREFIX + "*"))
        assert not multiprocessing.active_children()
        return files[0].read_bytes(), files[1].read_bytes() if len(files) > 1 else b""

    yield run
    assert not list(folder.glob(PREFIX + "*"))
    assert not multiprocessing.active_children()


def _table(path: Path, rows: int = ROWS) -> list[list[str]]:
    """A table with blank lines, texts over several lines and bad rows; its rows as they are numbered."""
    chance = random.Random(rows)  # noqa: S311 - data
    numbered = []
    with path.open("w", newline="") as file:
        file.write("id,radius,texture,note\n")
        for number in range(1, rows + 1):
            radius = "high" if number % 97 == 0 else f"{chance.uniform(0, 9):.4g}"
            note = "two\nlines, or\n\nthree" if number % 41 == 0 else "plain"
            row = [f"P{number}", radius, f"{chance.uniform(0, 9):.4g}", note]
            numbered.append(row)
            csv.writer(file, lineterminator=chance.choice(["\n", "\r\n", "\n\n"])).writerow(row)
    return numbered


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_several_processes_write_the_bytes_that_one_does(score: Score, tmp_path: Path, workers: int) -> None:
    rows = _table(tmp_path / "in.csv")
    one = score(tmp_path / "in.csv", 1)
    assert score(tmp_path / "in.csv", workers) == one
    scored = list(csv.DictReader(one[0].decode().splitlines(keepends=True)))
    good = {str(number): row for number, row in enumerate(rows, start=1) if row[1] != "high"}
    assert {row["row"]: [row["id"], row["radius"], row["texture"], row["note"]] for row in scored} == good
    bad = [json.loads(line)["row"] for line in one[1].splitlines()]
    assert bad == [number for number, row in enumerate(rows, start=1) if row[1] == "high"]


def test_probabilities_are_those_of_the_formula_in_every_range(score: Score, tmp_path: Path) -> None:
    rows = _table(tmp_path / "in.csv")
    scored = csv.DictReader(score(tmp_path / "in.csv", 2)[0].decode().splitlines(keepends=True))
    for row in scored:
        radius, texture = (float(cell) for cell in rows[int(row["row"]) - 1][1:3])
        malignant = 1 / (1 + np.exp(-(radius + texture - 1)))  # what tiny.classifier says it computes
        assert float(row["probability_malignant"]) == pytest.approx(malignant, abs=1e-6)


def test_json_lines_and_compressed_output_are_the_same_too(score: Score, tmp_path: Path) -> None:
    lines = [json.dumps({"radius": number % 7, "texture": 1, "row": number}) for number in range(2000)]
    lines[5] = lines[1700] = '{"radius": "x"}'
    lines[7] = ""
    lines[1000] = '{"radius" : 1, "texture":2}'
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    assert score(tmp_path / "in.jsonl", 3) == score(tmp_path / "in.jsonl", 1)


def _kill_one() -> bool:
    """Kill whichever worker; False if all are dead already."""
    alive = [process.pid for process in multiprocessing.active_children() if process.pid is not None]
    if alive:
        os.kill(random.choice(alive), signal.SIGKILL)  # noqa: S311 - one of ours
    return bool(alive)


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.long)])
def test_workers_that_are_killed_are_replaced_and_nothing_is_lost(score: Score, tmp_path: Path, kills: int) -> None:
    _table(tmp_path / "in.csv", 200 * kills)
    whole = score(tmp_path / "in.csv", 1)
    killed: list[int] = []

    def kill_some(done: int, _size: int) -> None:
        if len(killed) < kills and random.random() < 0.7 and _kill_one():  # noqa: S311 - no secret
            killed.append(done)

    assert score(tmp_path / "in.csv", 3, kill_some) == whole
    assert len(killed) >= min(kills, 3)


class Deadly:
    """A table in whose second range its reader is killed."""

    def __init__(self, table: object) -> None:
        self._table = table

    def __getattr__(self, name: str) -> object:
        return getattr(self._table, name)

    def open_range(self, start: tuple[int, int], sink: object) -> object:
        if start[1] > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._table.open_range(start, sink)  # type: ignore[attr-defined]


def test_rows_that_kill_whoever_reads_them_fail_the_file_and_say_where(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _table(tmp_path / "in.csv")
    make = csv_file.open_table
    monkeypatch.setattr(csv_file, "open_table", lambda *words: Deadly(make(*words)))
    with pytest.raises(UnavailableError, match=r"rows from \d+ on were killed 5 times: .*use fewer --workers"):
        score(tmp_path / "in.csv", 2)
    assert not list((tmp_path / "out").iterdir())


def test_what_is_wrong_with_a_file_is_said_by_whichever_process_finds_it(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxlet.batch.formats.streams.LINE_BYTES", 400_000)
    (tmp_path / "in.csv").write_text("radius,texture\n" + "1,2\n" * 2000 + "x" * 600_000 + "\n")
    for workers in (1, 2):
        with pytest.raises(InvalidInputError, match="a line is longer than"):
            score(tmp_path / "in.csv", workers)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["in.csv.book.json"]


def _score_until_killed(store: Store, folder: Path, after: int) -> None:
    """In a process of its own: score with two workers until so many ranges are written, then be killed."""
    done: list[int] = []

    def die(position: int, _size: int) -> None:
        done.append(position)
        if len(done) >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(folder / "cache"), threads=1))
    score_path(predictor, parse_ref("m"), folder / "in.csv", folder / "out" / "in.csv", workers=2, on_progress=die)


def _kill_a_job(store: Store, folder: Path, after: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside the store's threads
        process = multiprocessing.get_context("fork").Process(target=_score_until_killed, args=(store, folder, after))
        process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    (left,) = (folder / "out").glob(PREFIX + "*")
    # its workers end by themselves, and hold the folder until then
    with (left / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


@pytest.mark.parametrize("rescued", [True, False])
def test_a_job_that_was_killed_goes_on_where_it_was_unless_its_file_has_changed(
    directory_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, rescued: bool
) -> None:
    monkeypatch.setattr(blocks, "RANGE_BYTES", RANGE)
    store = open_store(directory_url)
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    (tmp_path / "out").mkdir()
    _table(tmp_path / "in.csv")
    _kill_a_job(store, tmp_path, 10)
    if not rescued:
        (tmp_path / "in.csv").write_bytes((tmp_path / "in.csv").read_bytes()[:-1] + b"!")
    begun: list[int] = []
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache"), threads=1))
    outputs = {}
    for name, workers in (("in.csv", 2), ("again.csv", 1)):
        target = tmp_path / "out" / name
        book = score_path(
            predictor,
            parse_ref("m"),
            tmp_path / "in.csv",
            target,
            workers=workers,
            on_progress=lambda done, _: begun.append(done),
        )
        assert [file_digest(written.key) for written in book.outputs] == [each.digest for each in book.outputs]
        outputs[name] = [(Path(each.key).read_bytes(), each.rows) for each in book.outputs], book.rows
        assert not list((tmp_path / "out").glob(PREFIX + "*"))
    assert outputs["in.csv"] == outputs["again.csv"]
    assert (begun[0] > 9 * RANGE) == rescued


def test_what_was_left_of_another_job_is_swept_out(directory_url: str, tmp_path: Path) -> None:
    store = open_store(directory_url)
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    (tmp_path / "out").mkdir()
    _table(tmp_path / "in.csv", 200_000)
    _kill_a_job(store, tmp_path, 1)
    (tmp_path / "other.csv").write_text("radius,texture\n1,2\n")
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))
    score_path(predictor, parse_ref("m"), tmp_path / "other.csv", tmp_path / "out" / "other.csv")
    assert not list((tmp_path / "out").glob(PREFIX + "*"))
