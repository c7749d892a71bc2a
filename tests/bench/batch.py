"""Rows 10 and 11: whole files scored, beside ONNX Runtime on rows in memory and beside scripts with data frames."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import polars as pl
from processes import Cost, run_measured
from row import Row
from sklearn.datasets import load_breast_cancer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stage import REPOSITORY, Stage

from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare

ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
PLANNED = int(float(os.environ.get("BENCH_PLANNED_GB", "10")) * 1e9)
"""Bytes of the file that is planned and not scored."""
ROUNDS = 3
"""Of whole processes, which last seconds."""
PROBES = Path(__file__).parent / "probes"
PEERS = REPOSITORY / ".venv-bench" / "bin" / "python"
"""An environment of the data frames' own: they are none of ours."""
ENVIRON = {"OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
NAMES = [f"x{place}" for place in range(30)]
BLOCK = 10_000
MICRO = 1e6

Line = Callable[[list[str], int], str]


@dataclass(frozen=True)
class Bench:
    """Where models and files lie."""

    stage: Stage
    folder: Path

    def ours(self, model: str, source: Path) -> list[str | Path]:
        """The command that scores a file by us."""
        probe, cache = PROBES / "scoring.py", self.folder / "cache"
        return [sys.executable, probe, self.stage.store, cache, model, source, self.folder / f"ours{source.suffix}"]

    def peer(self, name: str, model: str, source: Path) -> list[str | Path]:
        """The command that scores it by a script."""
        graph = self.stage.published(model)
        return [PEERS, PROBES / "peer_scoring.py", name, graph, source, self.folder / f"{name}{source.suffix}"]


def batch_rows(stage: Stage) -> list[Row]:
    """Both rows."""
    folder = stage.directory / "batch"
    folder.mkdir()
    bench = Bench(stage, folder)
    matrix = _draw(ROWS)
    _publish_models(bench)
    return [_bound_by_the_model(bench, matrix[: ROWS // 5]), *_bound_by_parsing(bench, matrix)]


def _bound_by_parsing(bench: Bench, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Iterator[Row]:
    # what two idle cores gave on 2026-11-30, less a tenth
    for suffix, line, faster, processor in ((".csv", _csv, 0.9, 1.2), (".jsonl", _json, 0.8, 1.4)):
        name = {".csv": "CSV", ".jsonl": "JSON Lines"}[suffix]
        small = _write(bench.folder / f"small{suffix}", matrix[: len(matrix) // 10], line)
        clean = _write(bench.folder / f"clean{suffix}", matrix, line)
        peers = ["polars", "duckdb", *(["pyarrow"] if suffix == ".csv" else [])]
        costs = _measure(
            {
                "ours": bench.ours("logistic", clean),
                "a tenth": bench.ours("logistic", small),
                **{peer: bench.peer(peer, "logistic", clean) for peer in peers},
            }
        )
        parts = {
            text: value for peer in ("ours", *peers) for text, value in _tell(peer, costs[peer], len(matrix)).items()
        }
        ours, polars = costs["ours"], costs["polars"]
        yield Row(11, f"{name} / polars, rows/s", polars.wall / ours.wall, faster, "ratio", at_least=True, parts=parts)
        yield Row(11, f"{name} / polars, CPU", ours.processor / polars.processor, processor, "ratio")
        yield Row(11, f"{name} / polars, peak memory", ours.memory / polars.memory, 0.25, "ratio")
        longer = f"{name}, memory at {len(matrix):,} rows / a tenth of them"
        yield Row(11, longer, ours.memory / costs["a tenth"].memory, 1.1, "ratio")
        if suffix == ".csv":
            yield _ten_times(bench, clean, len(matrix), ours)
            yield from _less_clean(bench, matrix, clean)
    yield from _parquet(bench, matrix)


def _ten_times(bench: Bench, clean: Path, rows: int, once: Cost) -> Row:
    """The rows of a file ten times over, 10,000,000 unless said otherwise, in one round."""
    file = bench.folder / "ten.csv"
    heading, _, body = clean.read_bytes().partition(b"\n")
    with file.open("wb") as written:
        written.writelines([heading, b"\n", *[body] * 10])
    cost = run_measured(bench.ours("logistic", file), ENVIRON)
    parts: dict[str, float | str] = {"wall s": cost.wall, "GB": file.stat().st_size / 1e9}
    parts |= _tell("ours", cost, 10 * rows)
    for each in (file, bench.folder / "ours.csv"):
        each.unlink()
    name = f"CSV, memory at {10 * rows:,} rows / at {rows:,}"
    return Row(11, name, cost.memory / once.memory, 1.1, "ratio", parts=parts)


def _planned(bench: Bench, quoted: Path) -> Row:
    """The rows of a file again and again, until it is of the size that is planned; quotes have it scanned."""
    key, told = "batch/in/logistic/planned.csv", bench.folder / "planned.json"
    file = Path(bench.stage.store.removeprefix("file://")) / key
    file.parent.mkdir(parents=True, exist_ok=True)
    heading, _, body = quoted.read_bytes().partition(b"\n")
    with file.open("wb") as written:
        written.writelines([heading, b"\n"])
        while written.tell() < PLANNED:
            written.write(body)
    size = file.stat().st_size / 1e9
    probe, cache = PROBES / "planning.py", bench.folder / "cache"
    cost = run_measured([sys.executable, probe, bench.stage.store, cache, "logistic", key, told], ENVIRON)
    file.unlink()
    parts: dict[str, float | str] = {**json.loads(told.read_text()), "GB": size, "CPU s": cost.processor}
    return Row(11, f"CSV of {size:.3g} GB with quotes, planned: peak memory", cost.memory, 200, "MB", parts=parts)


def _parquet(bench: Bench, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Iterator[Row]:
    """Parquet as polars writes it: several row groups, zstd."""
    file, schema = bench.folder / "clean.parquet", dict.fromkeys(NAMES, pl.Float32)
    pl.read_csv(_write(bench.folder / "text.csv", matrix, _csv), schema=schema).write_parquet(file)
    peers = {peer: bench.peer(peer, "logistic", file) for peer in ("polars", "duckdb", "pyarrow")}
    costs = _measure({"ours": bench.ours("logistic", file), **peers})
    ours, peer = costs["ours"], costs["polars"]
    parts = {text: value for name in costs for text, value in _tell(name, costs[name], len(matrix)).items()}
    # what two idle cores gave on 2026-11-30, less a tenth
    yield Row(11, "Parquet / polars, rows/s", peer.wall / ours.wall, 0.78, "ratio", at_least=True, parts=parts)
    yield Row(11, "Parquet / polars, CPU", ours.processor / peer.processor, 1.3, "ratio")
    yield Row(11, "Parquet / polars, peak memory", ours.memory / peer.memory, 0.5, "ratio")


def _less_clean(bench: Bench, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]], clean: Path) -> Iterator[Row]:
    """CSV with texts, gaps and bad rows."""
    chance = random.Random(0)  # noqa: S311 - data

    def with_gaps(cells: list[str], _: int) -> str:
        return ",".join("" if chance.random() < 0.01 else cell for cell in cells)

    def with_texts(cells: list[str], number: int) -> str:
        return f'P{number:07d},{",".join(cells)},"seen by Dr. Who, stable {number % 97}"'

    for name, model, line, header, budget in (
        ("CSV with an id and a quoted text", "logistic", with_texts, ["id", *NAMES, "note"], 0.9),
        ("CSV with 1 % empty cells", "gaps", with_gaps, NAMES, 1.0),
    ):
        file = _write(bench.folder / "texts.csv", matrix, line, header)
        costs = _measure({"ours": bench.ours(model, file), "polars": bench.peer("polars", model, file)})
        parts = {text: value for each in costs for text, value in _tell(each, costs[each], len(matrix)).items()}
        ratio = costs["polars"].wall / costs["ours"].wall
        yield Row(11, f"{name} / polars, rows/s", ratio, budget, "ratio", at_least=True, parts=parts)
        if line is with_texts:
            yield _planned(bench, file)
    for each, budget in ((1000, 2.0), (100, 8.0)):

        def with_faults(cells: list[str], number: int, each: int = each) -> str:
            return ",".join(["high", *cells[1:]] if number % each == 0 else cells)

        file = _write(bench.folder / "faults.csv", matrix, with_faults)
        costs = _measure({"bad": bench.ours("logistic", file), "clean": bench.ours("logistic", clean)})
        ratio = costs["bad"].processor / costs["clean"].processor
        yield Row(11, f"CSV with 1 bad row in {each} / clean, CPU", ratio, budget, "ratio")


def _bound_by_the_model(bench: Bench, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Row:
    """A network that takes longer for a row than reading it does."""
    np.save(bench.folder / "rows.npy", matrix.astype(np.float32))
    source = _write(bench.folder / "network.csv", matrix, _csv)
    empty = _write(bench.folder / "empty.csv", matrix[:1], _csv)
    raw: list[str | Path] = [
        sys.executable,
        PROBES / "raw.py",
        bench.stage.published("network"),
        bench.folder / "rows.npy",
    ]
    seconds = float(subprocess.run(raw, check=True, capture_output=True, text=True).stdout)
    costs = _measure({"ours": bench.ours("network", source), "one row": bench.ours("network", empty)})
    scoring = costs["ours"].wall - costs["one row"].wall
    parts: dict[str, float | str] = {"raw rows/s": len(matrix) / seconds, "ours rows/s": len(matrix) / scoring}
    return Row(10, "CSV by a network / ONNX Runtime in memory, rows/s", seconds / scoring, 0.9, "ratio", True, parts)


def _measure(commands: Mapping[str, list[str | Path]]) -> dict[str, Cost]:
    """The least of each, taken in turn so that all see the same machine."""
    rounds = [{name: run_measured(command, ENVIRON) for name, command in commands.items()} for _ in range(ROUNDS)]
    return {
        name: Cost(
            min(one[name].wall for one in rounds),
            min(one[name].processor for one in rounds),
            min(one[name].memory for one in rounds),
        )
        for name in commands
    }


def _tell(name: str, cost: Cost, rows: int) -> dict[str, float | str]:
    return {
        f"{name} rows/s": rows / cost.wall,
        f"{name} CPU us/row": cost.processor / rows * MICRO,
        f"{name} MB": cost.memory,
    }


def _draw(rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    generator, data = np.random.default_rng(0), load_breast_cancer().data
    drawn: np.ndarray[tuple[int, int], np.dtype[np.float64]] = data[generator.integers(0, len(data), rows)]
    return drawn * generator.normal(1, 0.05, drawn.shape)


def _csv(cells: list[str], _: int) -> str:
    return ",".join(cells)


def _json(cells: list[str], _: int) -> str:
    return "{" + ",".join(f'"{name}":{cell}' for name, cell in zip(NAMES, cells, strict=True)) + "}"


def _write(
    path: Path, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]], line: Line, header: list[str] | None = None
) -> Path:
    """Rows as measured values are written: five digits."""
    with path.open("w") as file:
        if path.suffix == ".csv":
            file.write(",".join(header or NAMES) + "\n")
        for first in range(0, len(matrix), BLOCK):
            for number, row in enumerate(matrix[first : first + BLOCK].tolist(), start=first):
                file.write(line([f"{value:.5g}" for value in row], number) + "\n")
    return path


def _publish_models(bench: Bench) -> None:
    data = load_breast_cancer()
    gaps = np.where(np.random.default_rng(0).random(data.data.shape) < 0.01, np.nan, data.data)
    for name, rows, model in (
        ("logistic", data.data, make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))),
        ("gaps", gaps, make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=1000))),
        (
            "network",
            data.data,
            make_pipeline(StandardScaler(), MLPClassifier((1024, 1024), max_iter=20, random_state=0)),
        ),
    ):
        joblib.dump(model.fit(rows, data.target), bench.folder / f"{name}.joblib")
        table = bench.folder / f"{name}.csv"
        text = "\n".join(",".join("" if value != value else repr(value) for value in row) for row in rows.tolist())  # noqa: PLR0124 - NaN
        table.write_text(",".join(NAMES) + "\n" + text + "\n")
        converted = bench.folder / name
        convert(bench.folder / f"{name}.joblib", converted, data=table, trust=True)
        draft, files = prepare(converted, bench.folder / f"prepared-{name}")
        registry = Registry(open_store(bench.stage.store), who="bench")
        registry.promote(name, registry.publish(name, draft, files).version)
