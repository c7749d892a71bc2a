"""Large files scored by the state machine of infra/: whatever happens, the set that one process would have written."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from deliveries import IN, OUT, make_predictor, publish
from machines import KilledFunctionError, Machine
from onnxlet.batch import formats
from onnxlet.batch.book import Book, RowCounts, decode_book
from onnxlet.batch.formats import blocks, parquet_ranges
from onnxlet.batch.objects import score_object
from onnxlet.errors import StoreUnavailableError
from onnxlet.jobs import estimates
from onnxlet.jobs.orders import order_landed
from onnxlet.local.step_functions import ExecutionFailedError
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.store import Store, open_store

ORDER = order_landed(IN, "m")


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some kilobytes has several sections of several ranges."""
    monkeypatch.setattr(blocks, "RANGE_BYTES", 2048)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 700)
    monkeypatch.setattr(estimates, "LEAST_SECTION", 4096)


@pytest.fixture
def predictor(any_store: Store, tmp_path: Path) -> Predictor:
    return make_predictor(any_store, tmp_path)


@pytest.fixture
def machine(store: Store, tmp_path: Path) -> Machine:
    """The machine over a store in memory with a model `m` in production, and a file."""
    publish(store, tmp_path)
    store.put(IN, table())
    return Machine(store, make_predictor(store, tmp_path))


def table(rows: int = 600, seed: int = 1, bad: float = 0.02, separator: str = ",") -> bytes:
    """CSV with quoted line feeds, blank lines, quotes in cells and bad rows."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    lines = [separator.join(["id", "radius", "texture", "note"])]
    for number in range(rows):
        radius = "x" if chance.random() < bad else f"{chance.random():.4f}"
        note = chance.choice(["plain", '"two\nlines"', '"a, b"', '"say ""no"""', "", '"long\n\n' + "y" * 300 + '"'])
        row = separator.join([f"{seed}-{number}", radius, f"{chance.random():.3f}", note])
        lines.append(row + "\n" * (chance.random() < 0.05))
    return ("\n".join(lines) + "\n").encode()


def scored_whole(folder: Path, content: bytes, key: str = IN) -> dict[str, bytes]:
    """What one process writes of the same file."""
    store = open_store(f"memory://{folder}-{hashlib.sha256(content).hexdigest()}")
    publish(store, folder / "whole")
    store.put(key, content)
    score_object(store, make_predictor(store, folder / "whole"), key)
    return standing(store, key.replace("batch/in/", "batch/out/"))


def standing(store: Store, name: str = OUT) -> dict[str, bytes]:
    return {entry.key: store.get(entry.key).data for entry in store.list(name) if not entry.key.endswith(".book.json")}


def book_of(store: Store, name: str = OUT) -> Book:
    return decode_book(store.get(f"{name}.book.json").data)


def left_over(store: Store) -> list[str]:
    """What is large or many of the work area."""
    folders = [entry.key.split("/")[3] for entry in store.list("batch/work/")]
    return [folder for folder in folders if folder not in {"work.json", "plan.json", "items"}]


def counted(content: bytes) -> RowCounts:
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    bad = sum(row["radius"] == "x" for row in rows)
    return RowCounts(len(rows), len(rows) - bad, bad)


def assert_scored(machine: Machine, folder: Path, content: bytes) -> None:
    """The set is that of this content, and nothing else lies about."""
    assert standing(machine.store) == scored_whole(folder, content)
    book = book_of(machine.store)
    assert (book.state, book.rows) == ("scored", counted(content))
    assert book.source is not None
    assert book.source.size == len(content)
    assert {(each.key, each.etag) for each in book.outputs} == {
        (key, machine.store.get(key).etag) for key in standing(machine.store)
    }


def test_the_sections_make_the_bytes_that_one_process_makes(
    any_store: Store, predictor: Predictor, tmp_path: Path
) -> None:
    content = table()
    any_store.put(IN, content)
    machine = Machine(any_store, predictor, at_once=3)
    machine.run(ORDER)
    assert machine.taken["scan"] >= machine.taken["section"] > 5
    assert_scored(machine, tmp_path, content)
    assert left_over(any_store) == []
    (event,) = machine.events
    assert (event["Source"], event["DetailType"], json.loads(event["Detail"])["state"]) == (
        "onnxlet",
        "File Scored",
        "scored",
    )


def test_the_book_proves_every_byte_of_both_files(machine: Machine) -> None:
    content = table()
    machine.run(ORDER)
    parts = book_of(machine.store).parts
    assert isinstance(parts, tuple)
    output = machine.store.get(OUT).data
    position = output.index(b"\n") + 1
    assert parts[0].start == content.index(b"\n") + 1
    for part in parts:
        assert part.input == "sha256:" + hashlib.sha256(content[part.start : part.end]).hexdigest()
        body = output[position : position + part.size]
        assert part.output == "sha256:" + hashlib.sha256(body).hexdigest()
        position += part.size
    assert (position, parts[-1].end) == (len(output), len(content))


def _lines() -> bytes:
    rows = [
        {"radius": number / 7 if number % 50 else "x", "texture": 1, "note": "n" * (number % 90)}
        for number in range(400)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _array() -> bytes:
    written = io.BytesIO()
    np.save(written, np.random.default_rng(1).random((3000, 3), np.float32))
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", _lines()),
        ("rows.npy", _array()),
        ("header.csv", b"id,radius,texture\n"),
        ("one.csv", b"id,radius,texture\n1,2,3"),
        ("semicolons.csv", table(separator=";")),
        ("mark.csv", b"\xef\xbb\xbf" + table()),
        ("returns.csv", table().replace(b"\n", b"\r\n")),
        ("open.csv", table() + b'1,2,3,"never closed\n' + b"1,2,3,x\n" * 3000),
    ],
)
def test_every_kind_of_file_is_scored_as_one_process_does(
    machine: Machine, tmp_path: Path, name: str, content: bytes
) -> None:
    key = f"batch/in/m/{name}"
    machine.store.put(key, content)
    machine.run(order_landed(key, "m"))
    assert standing(machine.store, f"batch/out/m/{name}") == scored_whole(tmp_path, content, key)
    assert book_of(machine.store, f"batch/out/m/{name}").state == "scored"


def test_an_invocation_whose_time_is_nearly_up_hands_on_what_is_left(machine: Machine, tmp_path: Path) -> None:
    machine.seconds_left = lambda: 10.0
    machine.store.put(IN, table(300))
    left = count()

    def seconds() -> float:
        # all of the time is up after the first range, but for joining
        return 10.0 if next(left) % 2 == 0 else 300.0

    machine.seconds_left = seconds
    machine.run(ORDER)
    assert machine.taken["section"] > machine.taken["scan"]
    assert_scored(machine, tmp_path, table(300))


@pytest.mark.parametrize("seed", range(4))
def test_killed_functions_and_lost_answers_change_nothing(machine: Machine, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret

    def fail(_event: dict[str, Any]) -> None:
        if chance.random() < 0.2:
            raise KilledFunctionError

    machine.before = machine.after = fail
    machine.run(ORDER)
    assert_scored(machine, tmp_path, table())


def test_executions_that_run_together_leave_one_set(machine: Machine, tmp_path: Path) -> None:
    threads = [threading.Thread(target=machine.run, args=(ORDER,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_scored(machine, tmp_path, table())


def test_a_repetition_scores_nothing_again(machine: Machine) -> None:
    machine.run(ORDER)
    before = machine.taken["section"]
    machine.run(ORDER)
    assert machine.taken["section"] == before
    machine.store.delete(IN)
    machine.run(ORDER)
    assert machine.taken["section"] == before


def _at(step: str, number: int, act: Callable[[], object]) -> Callable[[dict[str, Any]], None]:
    """Acts once, before the step of this number."""
    seen = count()

    def before(event: dict[str, Any]) -> None:
        if event["step"] == step and next(seen) == number:
            act()

    return before


@pytest.mark.parametrize(("step", "number"), [("scan", 2), ("plan", 0), ("section", 3), ("finish", 0)])
def test_a_file_that_is_overwritten_meanwhile_is_scored_as_it_is_now(
    machine: Machine, tmp_path: Path, step: str, number: int
) -> None:
    newest = table(400, seed=2)
    machine.before = _at(step, number, lambda: machine.store.put(IN, newest))
    machine.run(ORDER)
    assert_scored(machine, tmp_path, newest)


def test_a_promotion_meanwhile_changes_nothing(machine: Machine, tmp_path: Path) -> None:
    machine.before = _at("section", 2, lambda: publish(machine.store, tmp_path / "second", bias=9.0))
    machine.run(ORDER)
    assert_scored(machine, tmp_path, table())


def test_a_rollback_meanwhile_leaves_all_rows_to_the_version_that_began(machine: Machine, tmp_path: Path) -> None:
    publish(machine.store, tmp_path / "second", bias=9.0)
    machine.before = _at("section", 2, lambda: Registry(machine.store).rollback("m"))
    machine.run(ORDER)
    rows = csv.DictReader(io.StringIO(machine.store.get(OUT).data.decode(), newline=""))
    assert {row["model_version"] for row in rows} == {"2"}
    assert Registry(machine.store).alias("m")[0].routes[0].version == 1


def test_every_step_taken_twice_changes_nothing(machine: Machine, tmp_path: Path) -> None:
    steps = machine.taken
    taken: set[str] = set()

    def again(event: dict[str, Any]) -> None:
        if (told := json.dumps(event, sort_keys=True)) not in taken:
            taken.add(told)
            raise KilledFunctionError  # its answer is lost: it is asked again

    machine.after = again
    machine.run(ORDER)
    assert sum(steps.values()) >= 2 * len(taken)
    assert_scored(machine, tmp_path, table())


def test_a_version_that_is_deleted_meanwhile_closes_a_failed_book(machine: Machine, tmp_path: Path) -> None:
    def delete() -> None:
        publish(machine.store, tmp_path / "second", bias=9.0)
        Registry(machine.store).delete("m", 1, force=True)
        machine.predictor = make_predictor(machine.store, tmp_path / "elsewhere")

    machine.before = _at("section", 2, delete)
    with pytest.raises(ExecutionFailedError, match="NotScored"):
        machine.run(ORDER)
    book = book_of(machine.store)
    assert book.failure is not None
    assert book.failure.type == "VersionNotFoundError"
    assert standing(machine.store) == {}


def test_sections_that_fail_for_now_are_asked_for_again_and_later_alone(machine: Machine, tmp_path: Path) -> None:
    def fail(event: dict[str, Any]) -> None:
        if event.get("number") == 3:
            raise StoreUnavailableError("not today")

    machine.before = fail
    with pytest.raises(ExecutionFailedError, match=r"1 of .* sections .* were not scored in 3 rounds"):
        machine.run(ORDER)
    assert list(machine.store.list(OUT)) == []
    machine.before = lambda _event: None
    before = machine.taken["section"]
    machine.run(ORDER)
    assert_scored(machine, tmp_path, table())
    scored_again = machine.taken["section"] - before
    assert scored_again <= book_parts(machine)


def book_parts(machine: Machine) -> int:
    parts = book_of(machine.store).parts
    assert isinstance(parts, tuple)
    return len(parts)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"name,texture\n" + b"a,1\n" * 2000, "no column 'radius'"),
        (table(bad=1.0), "none of the 600 rows"),
        (b"", "the file is empty"),
    ],
    ids=["header", "rows", "nothing"],
)
def test_a_file_that_cannot_be_scored_has_a_failed_book(machine: Machine, content: bytes, fault: str) -> None:
    machine.store.put(IN, content)
    with pytest.raises(ExecutionFailedError, match="NotScored"):
        machine.run(ORDER)
    book = book_of(machine.store)
    assert (book.state, fault in (book.failure.detail if book.failure else "")) == ("failed", True)
    assert json.loads(machine.events[0]["Detail"])["state"] == "failed"


def test_more_bad_rows_than_may_be_fail_the_file_beside_its_errors(machine: Machine) -> None:
    machine.store.put(IN, table(bad=0.3))
    with pytest.raises(ExecutionFailedError, match="NotScored"):
        machine.run(replace(ORDER, max_bad=0.1))
    assert set(standing(machine.store)) == {f"{OUT}.errors.jsonl"}
    assert "may be bad" in str(book_of(machine.store).failure)


def test_a_format_that_is_not_joined_becomes_a_folder_of_files(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = [kind._replace(joined=False) for kind in formats.FORMATS]
    monkeypatch.setattr(formats, "FORMATS", apart)
    for content in (table(900), table(300, seed=5)):  # of the first one's parts none stays
        machine.store.put(IN, content)
        machine.run(ORDER)
        whole = scored_whole(tmp_path, content)[OUT]
        parts = {key: data for key, data in standing(machine.store).items() if "/part-" in key}
        heading, _, body = whole.partition(b"\n")
        assert all(data.startswith(heading + b"\n") for data in parts.values())
        assert b"".join(data.partition(b"\n")[2] for _, data in sorted(parts.items())) == body
        assert {each.key for each in book_of(machine.store).outputs} == set(standing(machine.store))
    assert OUT not in standing(machine.store)


def test_files_are_read_from_and_written_to_other_stores(machine: Machine, tmp_path: Path) -> None:
    theirs = open_store(f"memory://theirs-{tmp_path}")
    content = table(seed=3)
    theirs.put("lake/rows.csv", content)
    order = replace(ORDER, input=theirs.url, key="lake/rows.csv", output=theirs.url, name="scored/rows.csv")
    machine.run(order)
    assert theirs.get("scored/rows.csv").data == scored_whole(tmp_path, content)[OUT]
    book = book_of(theirs, "scored/rows.csv")
    assert book.source is not None
    assert book.source.key == f"{theirs.url}/lake/rows.csv"


def test_parquet_becomes_a_folder_of_files_with_all_rows(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_ranges, "RANGE_BYTES", 2048)
    monkeypatch.setattr(parquet_ranges, "COLUMN_BYTES", 0)
    rows, file = 2000, io.BytesIO()
    radius = [None if number % 50 == 0 else number / 7 for number in range(rows)]
    written = pa.table({"id": [f"P{number}" for number in range(rows)], "radius": radius, "texture": [1.0] * rows})
    pq.write_table(written, file, row_group_size=100)
    machine.store.put("batch/in/m/rows.parquet", file.getvalue())
    machine.run(order_landed("batch/in/m/rows.parquet", "m"))
    parts = standing(machine.store, "batch/out/m/rows.parquet/")
    assert len(parts) > 2
    scored = pa.concat_tables([pq.read_table(io.BytesIO(data)) for _, data in sorted(parts.items())])
    assert scored["row"].to_pylist() == [number + 1 for number in range(rows) if number % 50]
    assert scored.select(written.column_names).equals(written.filter(pa.array([n % 50 != 0 for n in range(rows)])))
    book = book_of(machine.store, "batch/out/m/rows.parquet")
    assert (book.state, book.rows) == ("scored", RowCounts(rows, rows - 40, 40))
