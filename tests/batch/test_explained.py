"""Attributions beside scored rows, in every format, against Shapley's own formula and other libraries' readers."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import helper

from command_line import ONNXLET, environment
from laboratory import Laboratory, background_of, perceptron, product
from machines import Machine
from onnxlet.batch.book import Book, decode_book
from onnxlet.batch.formats import blocks
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scoring import Options
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.request import read_request
from onnxlet.jobs import estimates
from onnxlet.jobs.orders import Order
from onnxlet.serving.model import Model
from onnxlet.store import Store, open_store
from onnxlet.values.refs import parse_ref
from onnxlet.values.signature import TensorSpec
from shapley import shapley_values

pytestmark = pytest.mark.slow

Array = npt.NDArray[Any]
NAMES = ("age", "dose", "weight", "height")
ROWS = background_of(300, 4, seed=5)
BACKGROUND = background_of(12, 4)
Score = Callable[..., Book]


@pytest.fixture
def laboratory(store: Store, tmp_path: Path) -> Laboratory:
    return Laboratory(store, tmp_path)


@pytest.fixture
def model(laboratory: Laboratory) -> Model:
    """`product` of four named columns."""
    background = {name: BACKGROUND[:, place] for place, name in enumerate(NAMES)}
    return product(laboratory, columns=NAMES, background=background)


@pytest.fixture
def score(laboratory: Laboratory, tmp_path: Path) -> Score:
    """Score a file of the folder, explained as asked."""

    def run(name: str, ref: str = "product", workers: int = 1, output: str = "", **asked: Any) -> Book:  # noqa: ANN401
        target = tmp_path / (output or f"scored-{name}")
        options = Options(explain=asked)
        return score_path(
            laboratory.predictor, parse_ref(ref), tmp_path / name, target, options=options, workers=workers
        )

    return run


def write_rows(folder: Path, rows: Array = ROWS) -> None:
    """The rows in every format of named columns."""
    table = {name: rows[:, place] for place, name in enumerate(NAMES)}
    pq.write_table(pa.table(table), folder / "rows.parquet")
    with (folder / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([NAMES, *rows.tolist()])
    lines = (json.dumps(dict(zip(NAMES, row, strict=True))) for row in rows.tolist())
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")


def read_columns(folder: Path, suffix: str) -> dict[str, list[float]]:
    """What was written, by other readers."""
    if suffix == "parquet":
        columns: dict[str, list[float]] = pq.read_table(folder / "scored-rows.parquet").to_pydict()
        return columns
    if suffix == "csv":
        with (folder / "scored-rows.csv").open(newline="") as file:
            read = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in read] for name in read[0]}
    lines = [json.loads(line) for line in (folder / "scored-rows.jsonl").read_text().splitlines()]
    documents = [line["explanation"] for line in lines]
    return {
        "row": [line["row"] for line in lines],
        "y": [line["y"] for line in lines],
        "explained": [each["prediction"]["y"] for each in documents],
        "expected": [each["expected"]["y"] for each in documents],
        **{f"attribution_{name}": [each["attributions"]["y"][name] for each in documents] for name in NAMES},
    }


def by_definition(row: Array) -> Array:
    """Shapley's values of a row of `product`, from its own formula."""

    def worth(known: frozenset[int]) -> Array:
        mixed = BACKGROUND.astype(float)
        mixed[:, list(known)] = row[list(known)]
        return np.array([(1 + mixed).prod(axis=1).mean()])

    return shapley_values(worth, 4)[:, 0]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_each_row_has_shapleys_values_and_they_add_up_to_its_answer(
    score: Score, model: Model, tmp_path: Path, suffix: str
) -> None:
    write_rows(tmp_path)
    book = score(f"rows.{suffix}")
    columns = read_columns(tmp_path, suffix)
    found = np.stack([columns[f"attribution_{name}"] for name in NAMES], axis=1)
    np.testing.assert_allclose(found, np.stack(list(map(by_definition, ROWS))), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1) + columns["expected"], columns["y"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(columns["explained"], columns["y"], rtol=1e-6)
    assert columns["row"] == list(range(1, 301))
    # and they are those of one request
    rows = {name: ROWS[:, place] for place, name in enumerate(NAMES)}
    asked = model.explain(rows, "columns")
    np.testing.assert_allclose(found, asked.attributions[:, :, 0], rtol=0, atol=1e-9)
    assert book.explained == {
        "method": "exact",
        "output": "y",
        "unit": "value",
        "expected": {"y": pytest.approx(asked.expected[0])},
        "background": {"kind": "synthetic", "rows": 12, "digest": asked.background and asked.background.digest},
        "evaluations_per_row": 16 * 12 + 1,
    }


def test_an_array_has_fields_of_them(score: Score, laboratory: Laboratory, tmp_path: Path) -> None:
    product(laboratory)
    np.save(tmp_path / "rows.npy", ROWS)
    score("rows.npy")
    records = np.load(tmp_path / "scored-rows.npy")
    total = sum(records[f"attribution_x[{place}]"] for place in range(4)) + records["expected"]
    np.testing.assert_allclose(total, records["y"], rtol=1e-5, atol=1e-5)


def test_several_classes_have_columns_each_and_one_has_the_columns_alone(
    score: Score, laboratory: Laboratory, tmp_path: Path
) -> None:
    perceptron(laboratory, features=3, rows=20)
    np.save(tmp_path / "rows.npy", ROWS[:5, :3])
    pq.write_table(pa.table({name: ROWS[:5, place] for place, name in enumerate("abc")}), tmp_path / "rows.parquet")
    score("rows.parquet", "perceptron")
    both = pq.read_table(tmp_path / "scored-rows.parquet")
    heads = [f"{kind}_p[{place}]" for kind in ("explained", "expected") for place in range(2)]
    assert both.column_names[5:10] == [*heads, "attribution_p[0]_x[0]"]
    score("rows.parquet", "perceptron", classes=["p[1]"])
    one = pq.read_table(tmp_path / "scored-rows.parquet")
    assert one.column_names[5:-1] == ["explained", "expected", *(f"attribution_x[{place}]" for place in range(3))]
    for place in range(3):
        assert one[f"attribution_x[{place}]"].to_pylist() == pytest.approx(
            both[f"attribution_p[1]_x[{place}]"].to_pylist(), abs=1e-9
        )


def test_what_is_sampled_has_intervals_and_the_same_bytes_however_it_is_cut(
    score: Score, laboratory: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = perceptron(laboratory, features=12, rows=20)
    rows = background_of(120, 12, seed=9)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[f"c{place}" for place in range(12)], *rows.tolist()])
    asked: dict[str, Any] = {"classes": [1], "max_evaluations": 22 * 5, "seed": 3}
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1024)
    monkeypatch.setattr(blocks, "RANGE_BYTES", 4096)
    book = score("rows.csv", "perceptron", output="one.csv", **asked)
    score("rows.csv", "perceptron", workers=3, output="three.csv", **asked)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "three.csv").read_bytes()
    assert book.explained
    assert (book.explained["unreliable"], book.explained["evaluations_per_row"]) == (True, 22 * 5 + 1)
    with (tmp_path / "one.csv").open(newline="") as file:
        scored = list(csv.DictReader(file))
    found = model.explain({"x": rows}, request=read_request(asked))
    assert found.interval is not None
    for place in range(12):
        for kind, values in (("attribution", found.attributions), ("interval", found.interval)):
            written = [float(row[f"{kind}_x[{place}]"]) for row in scored]
            np.testing.assert_allclose(written, values[:, place, 0], rtol=0, atol=1e-5)


@pytest.mark.usefixtures("store")
def test_a_job_that_is_killed_goes_on_with_the_same_bytes(directory_url: str, tmp_path: Path) -> None:
    background = {name: BACKGROUND[:, place] for place, name in enumerate(NAMES)}
    product(Laboratory(open_store(directory_url), tmp_path), columns=NAMES, background=background)
    rows = background_of(3000, 4, seed=9)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*NAMES, "note"], *([*row, "n" * 1500] for row in rows.tolist())])
    command = [*ONNXLET, "score", "rows.csv", "--model", "product", "--explain-method", "sampled", "-o"]
    around = {"env": environment(directory_url, tmp_path), "cwd": tmp_path}
    killed = subprocess.Popen([*command, "scored.csv"], **around, start_new_session=True)  # type: ignore[call-overload]
    journals: list[Path] = []
    until = time.monotonic() + 60
    while killed.poll() is None and time.monotonic() < until:
        journals = list(tmp_path.glob(".*/journal"))
        if any(len(journal.read_bytes().splitlines()) > 2 for journal in journals):
            break
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert journals, "it was killed amid its work"
    assert not (tmp_path / "scored.csv").exists()
    subprocess.run([*command, "scored.csv"], **around, check=True)  # type: ignore[call-overload]
    subprocess.run([*command, "again.csv"], **around, check=True)  # type: ignore[call-overload]
    assert (tmp_path / "scored.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    assert decode_book((tmp_path / "scored.csv.book.json").read_bytes()).explained


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("above", [1.0, 1e9])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_rows_that_are_not_above_have_none(score: Score, tmp_path: Path, suffix: str, above: float) -> None:
    write_rows(tmp_path)
    score(f"rows.{suffix}", above=above)
    if suffix == "jsonl":
        lines = [json.loads(line) for line in (tmp_path / "scored-rows.jsonl").read_text().splitlines()]
        assert {(line["explanation"] is not None) == (line["y"] > above) for line in lines} == {True}
    else:
        columns = read_columns(tmp_path, suffix)
        assert (np.isfinite(columns["attribution_dose"]) == (np.array(columns["y"]) > above)).all()


def test_a_row_that_cannot_be_explained_is_set_aside_with_the_reason(
    score: Score, laboratory: Laboratory, tmp_path: Path
) -> None:
    laboratory.publish(
        "root",
        [helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0), helper.make_node("Sqrt", ["sum"], ["y"])],
        {"axes": np.array([1], dtype=np.int64)},
        features=2,
        outputs=[TensorSpec("y", "FP32", (-1,))],
        background={name: np.abs(background_of(5, 1))[:, 0] for name in "ab"},
        columns=("a", "b"),
    )
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n-77,3\n4,5\n")
    book = score("rows.csv", "root")
    assert book.rows is not None
    assert (book.rows.scored, book.rows.errors) == (2, 1)
    (line,) = (tmp_path / "scored-rows.csv.errors.jsonl").read_text().splitlines()
    assert json.loads(line)["row"] == 2
    assert "cannot be explained: the output 'y' is NaN or infinite" in json.loads(line)["error"]
    assert "77" not in json.loads(line)["error"]


@pytest.mark.usefixtures("model")
def test_sections_of_a_large_file_make_the_bytes_that_one_process_makes(
    score: Score, laboratory: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = laboratory.registry.store
    write_rows(tmp_path)
    monkeypatch.setattr(blocks, "RANGE_BYTES", 2048)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 700)
    monkeypatch.setattr(estimates, "LEAST_SECTION", 4096)
    book = score("rows.csv", output="whole.csv", method="exact")
    store.put("lake/rows.csv", tmp_path / "rows.csv")
    machine = Machine(store, laboratory.predictor, at_once=3)
    machine.run(Order(ref="product", key="lake/rows.csv", name="lake/scored.csv", explain={"method": "exact"}))
    assert machine.taken["section"] > 3
    assert store.get("lake/scored.csv").data == (tmp_path / "whole.csv").read_bytes()
    sectioned = decode_book(store.get("lake/scored.csv.book.json").data)
    assert sectioned.state == "scored"
    assert sectioned.explained == book.explained


def test_what_cannot_be_explained_at_all_fails_before_a_row_is_scored(
    score: Score, laboratory: Laboratory, tmp_path: Path
) -> None:
    product(laboratory, background=None)
    np.save(tmp_path / "rows.npy", ROWS)
    with pytest.raises(NotExplainableError, match="no background"):
        score("rows.npy")
    assert not (tmp_path / "scored-rows.npy").exists()
    product(laboratory, name="other")
    with pytest.raises(InvalidInputError, match="no class 'benign'"):
        score("rows.npy", "other", classes="benign")
    with pytest.raises(InvalidInputError, match="'max_evaluations'"):
        score("rows.npy", "other", max_ms=5)
    with pytest.raises(NotExplainableError, match="takes no text"):
        score("rows.npy", "other", method="words")


def test_columns_that_would_be_called_alike_are_refused(score: Score, laboratory: Laboratory, tmp_path: Path) -> None:
    laboratory.publish(
        "named",
        [helper.make_node("ReduceSum", ["x", "axes"], ["expected"], keepdims=0)],
        {"axes": np.array([1], dtype=np.int64)},
        features=2,
        outputs=[TensorSpec("expected", "FP32", (-1,))],
        background={"x": background_of(5, 2)},
    )
    np.save(tmp_path / "rows.npy", ROWS[:, :2])
    with pytest.raises(InvalidInputError, match="two columns of the output would be called 'expected'"):
        score("rows.npy", "named")
