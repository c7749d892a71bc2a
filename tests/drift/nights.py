"""What a night takes that watches a model of ten thousand columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from time import perf_counter, process_time

import msgspec
import numpy as np

from drift.columns import normal
from drift.tasks import Row, Tasks
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.baseline import Baseline, draw_baseline
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.watch.run import DAYS, Watch
from onnxlet.monitor.windows import part_key, write_part
from onnxlet.store import Store, open_store

COLUMNS = 10_000
BASELINE, ROWS = 10_000, 1_000
MOST_MINUTES = 15
"""What Lambda gives a function."""
_MODEL, _VERSION = "wide", 1
_FIRST = dt.datetime(2026, 10, 1, 1, tzinfo=dt.UTC)


class _Nobody:
    """Hears no event."""

    def announce(self, _: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
        return ()


def measure(tasks: Tasks) -> list[Row]:
    """The seconds of the first night, on which a month is compared, and of the next."""
    columns = tasks.scaled(COLUMNS)
    return [{"columns": columns, **row} for row in tasks.run(_nights, [columns], "nights")[0]]


def kept(rows: list[Row]) -> bool:
    """Whether even a night that compares the whole month ends in time, by a third of it."""
    return all(float(row["cpu"]) < MOST_MINUTES * 60 / 3 for row in rows)


def page(rows: list[Row]) -> Iterator[str]:
    """Its part of the page."""
    yield "## Nights"
    yield ""
    yield (
        f"A model of {rows[0]['columns']:,} columns of numbers, {ROWS:,} rows a day, its parts in memory: runs of the "
        "watch, which merge, compare, check and report. What the last report says of a day stands, so a night compares "
        f"one day; the whole month is compared where there is no report yet. Lambda gives {MOST_MINUTES} minutes: "
        f"**{'kept' if kept(rows) else 'NOT kept'}**, by a third of them at most."
    )
    yield ""
    yield "| run | days compared | seconds of CPU | seconds by the clock |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| {row['run']} | {row['days']} | {float(row['cpu']):,.1f} | {float(row['wall']):,.1f} |"


def _nights(columns: int) -> list[Row]:
    generator = np.random.default_rng(0)
    (column,) = draw_baseline({"x": normal(generator, BASELINE)}).columns
    named = tuple(msgspec.structs.replace(column, name=f"x[{place}]") for place in range(columns))
    baseline = Baseline(BASELINE, named)
    store = open_store("memory://nights")
    give_baseline(store, _MODEL, _VERSION, baseline)
    for day in range(DAYS):
        _count(store, baseline, generator, day)
    first = _watch(store, DAYS)
    _count(store, baseline, generator, DAYS)
    return [
        {"run": "without a report of the night before", "days": DAYS, **first},
        {"run": "the next night", "days": 1, **_watch(store, DAYS + 1)},
    ]


def _count(store: Store, baseline: Baseline, generator: np.random.Generator, day: int) -> None:
    sketch = Sketch(baseline)
    sketch.fold({"x": generator.normal(size=(ROWS, len(baseline.columns)))}, {})
    name = (_FIRST + dt.timedelta(days=day)).date().isoformat()
    write_part(store, part_key(_MODEL, _VERSION, name, "environment", 0), sketch.document())


def _watch(store: Store, day: int) -> dict[str, float]:
    """One run, an hour into a day."""
    watch = Watch(store, announcer=_Nobody(), clock=lambda: _FIRST + dt.timedelta(days=day))
    wall, cpu = perf_counter(), process_time()
    done = watch.run()
    assert done.reported == (_MODEL,)
    return {"cpu": process_time() - cpu, "wall": perf_counter() - wall}
