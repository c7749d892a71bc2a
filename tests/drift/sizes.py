"""What sketches weigh in the store, and what counting and comparing take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np

from drift.columns import COLUMNS, table
from drift.tasks import Row, Tasks
from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.comparison import compare
from onnxlet.monitor.sketch import Sketch, encode_sketch
from onnxlet.monitor.windows import compact, part_key, write_part
from onnxlet.store import Store, open_store
from onnxlet.values.tensors import Tensors

BASELINE = 10_000
MILLION = 1_000_000
A_DAY = (10_000, 50_000, 100_000, 1_000_000)
FLUSHED = 1_000
"""Rows after which a process writes, by default."""
RAW = MILLION * COLUMNS * 4
PART = 1 / 1000
"""Of the bytes of raw values: what a million rows may weigh."""
MANY = 100_000
"""Rows of a day from which on they have to."""
FOLDED = (1, 256, 4_096)
ROUNDS = 20
_MODEL, _VERSION, _DAY = "sizes", 1, "2026-11-29"


def measure(tasks: Tasks) -> list[Row]:
    """Bytes by rows of a day, and times of work."""
    days = [tasks.scaled(rows) for rows in A_DAY]
    weighed: list[Row] = [
        {"what": "bytes", "rows": rows, "parts": parts, "flushed": flushed, "compacted": compacted}
        for rows, (parts, flushed, compacted) in zip(days, tasks.run(_weigh, days, "sizes"), strict=True)
    ]
    return weighed + [
        {"what": "time", "work": work, "best": min(seconds), "median": float(np.median(seconds))}
        for work, seconds in _times().items()
    ]


def kept(rows: list[Row]) -> bool:
    """Whether a million rows, in days of many, weigh no more than they may."""
    weighed = [row for row in rows if row["what"] == "bytes" and float(row["rows"]) >= MANY]
    return all(_of_a_million(row, "compacted") < PART * RAW for row in weighed)


def page(rows: list[Row]) -> Iterator[str]:
    """Its part of the page."""
    yield "## Bytes"
    yield ""
    yield (
        f"The same {COLUMNS} columns, written in parts of {FLUSHED:,} rows by four processes, then merged. A million "
        f"rows of raw float32 are {RAW // MILLION} MB; allowed is a thousandth: from {MANY:,} rows a day on "
        f"**{'kept' if kept(rows) else 'NOT kept'}**. A merged day weighs what its columns have bins, nearly whatever "
        "its rows, so a million rows weigh the more the more days they take: days of 10,000 rows take more than a "
        "thousandth. Days are not merged into weeks, since drift is told by the day, and on AWS live sketches leave "
        "after 30 days (`WorkDays`)."
    )
    yield ""
    yield "| rows of a day | parts | a day, flushed | a day, merged | days of a million rows | they, merged | of raw |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        if row["what"] == "bytes":
            million = _of_a_million(row, "compacted")
            yield (
                f"| {row['rows']:,} | {row['parts']:,} | {float(row['flushed']) / 1e3:,.1f} kB "
                f"| {float(row['compacted']) / 1e3:,.1f} kB | {MILLION / float(row['rows']):,.0f} "
                f"| {million / 1e3:,.1f} kB | 1/{RAW / million:,.0f} |"
            )
    yield ""
    yield "## Time"
    yield ""
    yield "One thread, on whatever else the machine did at the time: best and median of 20."
    yield ""
    yield "| work | best | median |"
    yield "|---|---|---|"
    for row in rows:
        if row["what"] == "time":
            yield f"| {row['work']} | {float(row['best']) * 1e3:.2f} ms | {float(row['median']) * 1e3:.2f} ms |"


def _of_a_million(row: Row, what: str) -> float:
    return float(row[what]) * MILLION / float(row["rows"])


def _weigh(rows: int) -> tuple[int, int, int]:
    """Parts of a day of so many rows, and their bytes before and after they are merged."""
    generator = np.random.default_rng(rows)
    baseline = draw_baseline(table(generator, BASELINE))
    store = open_store(f"memory://sizes-{rows}")
    parts = max(1, rows // FLUSHED)
    for part in range(parts):
        sketch = Sketch(baseline)
        sketch.fold(table(generator, FLUSHED), {})
        write_part(store, part_key(_MODEL, _VERSION, _DAY, f"{part % 4:032x}", part // 4), sketch.document())
    flushed = _stored(store)
    compact(store, _MODEL, _VERSION, _DAY)
    return parts, flushed, _stored(store)


def _stored(store: Store) -> int:
    return sum(len(store.get(entry.key).data) for entry in store.list(""))


def _times() -> dict[str, list[float]]:
    generator = np.random.default_rng(0)
    baseline = draw_baseline(table(generator, BASELINE))
    sketch = Sketch(baseline)
    works: dict[str, Callable[[], object]] = {}
    for rows in FOLDED:
        works[f"fold {rows:,} row{'s' if rows > 1 else ''}"] = _folding(sketch, table(generator, rows))
    window = Sketch(baseline)
    window.fold(table(generator, 1_000), {})
    document, reference = window.document(), table(generator, BASELINE)
    works["add a sketch"] = lambda: sketch.add(document)
    works["encode a sketch"] = lambda: encode_sketch(window.document())
    works[f"compare {COLUMNS} columns"] = lambda: compare(window)
    works[f"draw a baseline of {BASELINE:,} rows"] = lambda: draw_baseline(reference)
    times: dict[str, list[float]] = {work: [] for work in works}
    for _ in range(ROUNDS):
        for work, run in works.items():
            began = perf_counter()
            run()
            times[work].append(perf_counter() - began)
    return times


def _folding(sketch: Sketch, rows: Tensors) -> Callable[[], object]:
    return lambda: sketch.fold(rows, {})
