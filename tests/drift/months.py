"""Months without any drift: how many alarm, by the whole rule as it is in production, and by evidently's defaults."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from drift.columns import COLUMNS, table
from drift.tasks import Row, Tasks, interval
from onnxlet.monitor.baseline import Baseline, draw_baseline
from onnxlet.monitor.levels import BUDGET
from onnxlet.monitor.report.drift import VersionDrift, read_drift
from onnxlet.monitor.report.quality import VersionQuality, read_quality
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.sketch import Sketch, SketchDocument
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import compact, part_key, write_part
from onnxlet.store import Store, open_store
from onnxlet.values.tensors import Tensors

SEEDS = 100
DAYS = 30
FIRST_DAY = dt.date(2026, 11, 1)
WEEKEND = 5
CONFIGS: dict[str, tuple[int, int, int]] = {
    "every day alike": (10_000, 1_000, 1_000),
    "a weekly rhythm": (10_000, 1_000, 100),
    "few rows": (10_000, 60, 60),
    "a small baseline": (1_000, 1_000, 1_000),
}
"""Rows of the baseline, of a working day, and of one of a weekend."""
_MODEL, _VERSION = "month", 1


def measure(tasks: Tasks) -> list[Row]:
    """Clean months with an alarm, by rows of the baseline and of a day."""
    seeds = tasks.scaled(SEEDS)
    wanted = [(rows, seed) for rows in CONFIGS.values() for seed in range(seeds)]
    found = np.array(tasks.run(_alarmed, wanted, "months")).reshape(len(CONFIGS), seeds, 4)
    has_evidently = find_spec("evidently") is not None
    return [
        {
            "name": name,
            "baseline": baseline,
            "day": working if working == weekend else f"{working:,}, weekends {weekend:,}",
            "months": seeds,
            "drift": int(own[:, 0].sum()),
            "faults": int(own[:, 1].sum()),
            "days": float(own[:, 2].mean()),
            "evidently": int(own[:, 3].sum()) if has_evidently else -1,
        }
        for (name, (baseline, working, weekend)), own in zip(CONFIGS.items(), found, strict=True)
    ]


def kept(rows: list[Row]) -> bool:
    """Whether no more months alarm than the budget says."""
    return all(int(row["drift"]) <= BUDGET * int(row["months"]) for row in rows)


def page(rows: list[Row]) -> Iterator[str]:
    """Its part of the page."""
    yield "## False alarms of whole months"
    yield ""
    verdict = "kept" if kept(rows) else "NOT kept"
    yield (
        f"Months without drift, {DAYS} days each, {COLUMNS} columns (numbers of seven kinds, ten "
        "of them dependent, some with gaps; texts of 5 and 40 values): rows are counted, written to a store, merged "
        "and compared by the code that does so in production. Months with any alarm of drift, of which "
        f"{BUDGET:.0%} are allowed: **{verdict}**; months with any fault of data quality; the share of days on which "
        "some column differs by more than chance, which is no alarm yet; and, on the same streams, months in which "
        "evidently's defaults say of any column that it has drifted. In brackets: 95 % intervals."
    )
    yield ""
    yield "| | baseline | a day | months | drift | quality | days that differ | evidently |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        shares = [_share(row, name) for name in ("drift", "faults", "evidently")]
        cells = [
            str(row["name"]),
            f"{row['baseline']:,}",
            row["day"] if isinstance(row["day"], str) else f"{row['day']:,}",
            str(row["months"]),
            *shares[:2],
            f"{row['days']:.1%}",
            *shares[2:],
        ]
        yield f"| {' | '.join(cells)} |"


def _share(row: Row, name: str) -> str:
    hits, months = int(row[name]), int(row["months"])
    if hits < 0:
        return "not measured"
    low, high = interval(hits, months)
    return f"{hits / months:.0%} ({low:.1%} to {high:.1%})"


def _alarmed(task: tuple[tuple[int, int, int], int]) -> tuple[bool, bool, float, bool]:
    """Whether a month alarms, has faults of quality, its share of days that differ; and evidently's verdict."""
    (baseline, working, weekend), seed = task
    generator = np.random.default_rng((baseline, working, weekend, seed))
    reference = table(generator, baseline)
    days = (FIRST_DAY + dt.timedelta(days=place) for place in range(DAYS))
    windows = [table(generator, weekend if day.weekday() >= WEEKEND else working) for day in days]
    store = open_store(f"memory://months-{baseline}-{working}-{weekend}-{seed}")
    drift, quality = watched(store, reference, windows)
    differing = [day.differing > 0 for day in drift.days]
    alarms = any(day.alarms for day in drift.days)
    faults = any(day.faults for day in quality.days)
    return alarms, faults, float(np.mean(differing)), _of_evidently(reference, windows)


def watched(store: Store, reference: Tensors, windows: list[Tensors]) -> tuple[VersionDrift, VersionQuality]:
    """What is said of days of rows that are counted and written as in production, in two parts each."""
    baseline = draw_baseline(reference)
    give_baseline(store, _MODEL, _VERSION, baseline)
    for place, window in enumerate(windows):
        day = (FIRST_DAY + dt.timedelta(days=place)).isoformat()
        for part, rows in enumerate(_halves(window)):
            write_part(store, part_key(_MODEL, _VERSION, day, f"environment-{part}", 0), _counted(baseline, rows))
        compact(store, _MODEL, _VERSION, day)
    scope = Scope(store, _MODEL, [_VERSION])
    quality = read_quality(scope)
    assert quality is not None
    return read_drift(scope).versions[0], quality.versions[0]


def _halves(rows: Tensors) -> tuple[Tensors, ...]:
    half = len(next(iter(rows.values()))) // 2
    return {name: column[:half] for name, column in rows.items()}, {
        name: column[half:] for name, column in rows.items()
    }


def _counted(baseline: Baseline, rows: Tensors) -> SketchDocument:
    sketch = Sketch(baseline)
    sketch.fold(rows, {})
    return sketch.document()


def _of_evidently(reference: Tensors, windows: list[Tensors]) -> bool:
    if find_spec("evidently") is None:
        return False
    from drift.peer import alarmed

    return alarmed(reference, windows)
