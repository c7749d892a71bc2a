"""The report: what became of a version's rows, day by day, beside its baseline."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from onnxlet.monitor.baseline import Baseline
from onnxlet.monitor.comparison import ColumnDrift, alarming, compare, significance_level
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import read_baseline
from onnxlet.monitor.windows import Window, list_days, read_window
from onnxlet.store import Store
from onnxlet.values.canonical import canonical

SCHEMA = 1
BUDGET = 0.05
"""The share of months without drift in which some column alarms by chance."""
MONTH = 30


class DayReport(msgspec.Struct, frozen=True):
    """One day: rows in the baseline's bins and in those of others (`elsewhere`), each column's drift, and alarms."""

    day: str
    rows: int
    elsewhere: int
    columns: tuple[ColumnDrift, ...] = ()
    alarms: tuple[str, ...] = ()


class VersionReport(msgspec.Struct, frozen=True):
    """The days of one version. `baseline` is the digest of what they are compared with; None if there is none."""

    model: str
    version: int
    baseline: str | None
    level: float
    days: tuple[DayReport, ...]
    schema: int = SCHEMA

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical(self)


def watch_version(store: Store, model: str, version: int, *, since: str = "") -> VersionReport:
    """Compare each day from `since` (`2026-11-01`) on with the version's baseline. Raises IntegrityError."""
    baseline = read_baseline(store, model, version)
    days = [day for day in list_days(store, model, version) if day >= since]
    windows = [(day, read_window(store, model, version, day)) for day in days]
    level = significance_level(BUDGET, MONTH)
    if baseline is None:
        blank = tuple(DayReport(day, 0, window.rows) for day, window in windows)
        return VersionReport(model, version, None, level, blank)
    return VersionReport(model, version, baseline.pinned(), level, tuple(_compared(baseline, windows, level)))


def _compared(baseline: Baseline, windows: Sequence[tuple[str, Window]], level: float) -> list[DayReport]:
    reports: list[DayReport] = []
    drifts: list[list[ColumnDrift]] = []
    for day, window in windows:
        sketch = Sketch(baseline)
        for document in window.sketches:
            if document.baseline == baseline.pinned():
                sketch.add(document)
        if not sketch.rows:
            reports.append(DayReport(day, 0, window.rows))
            continue
        drifts.append(compare(sketch))
        alarms = tuple(drift.name for drift in alarming(drifts[-2:], level))
        reports.append(DayReport(day, sketch.rows, window.rows - sketch.rows, tuple(drifts[-1]), alarms))
    return reports
