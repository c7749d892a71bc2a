"""What the month is told with: three plots, of what its report says by day."""

from __future__ import annotations

import onnxlet
from month.clock import DAYS, day_name
from month.drawing import Plot
from month.judging import judge
from month.story import MODEL, Month
from onnxlet.monitor.report.drift import Drift
from onnxlet.monitor.report.expected import Expected
from onnxlet.monitor.report.labels import Labels
from onnxlet.monitor.report.quality import Quality

Series = list[float | None]


def month_plots(month: Month) -> dict[str, Plot]:
    """A plot for each thing that was planted, by the name of its file."""
    sections = onnxlet.Registry(month.store).watch(MODEL).sections
    older, doseless, otherwise = judge(month.heard)
    drawn: list[tuple[str, Plot]] = []
    for told, name, title, series in (
        (older, "drift", "PSI of columns by day", _drift(sections["drift"])),
        (doseless, "quality", "share of rows without a dose by day", _quality(sections["quality"])),
        (
            otherwise,
            "accuracy",
            "accuracy by day, once labels are there",
            _accuracy(sections["labels"], sections["expected"]),
        ),
    ):
        drawn.append((name, Plot(title, series, told.planted.day, told.found or DAYS)))
    return dict(drawn)


def _by_day(told: dict[str, float], default: float | None = None) -> Series:
    return [told.get(day_name(day), default) for day in range(1, DAYS + 1)]


def _drift(drift: object) -> dict[str, Series]:
    assert isinstance(drift, Drift)
    (version,) = drift.versions
    columns = {day.day: {column.name: column.psi for column in day.columns} for day in version.days}
    return {name: _by_day({day: psi[name] for day, psi in columns.items()}) for name in ("age", "label")}


def _quality(quality: object) -> dict[str, Series]:
    assert isinstance(quality, Quality)
    (version,) = quality.versions
    missing = {
        day.day: column.share
        for day in version.days
        for column in day.columns
        if (column.name, column.check) == ("dose", "missing") and column.share is not None
    }
    return {"dose is missing": _by_day(missing, 0.0)}


def _accuracy(labels: object, expected: object) -> dict[str, Series]:
    assert isinstance(labels, Labels)
    (version,) = labels.versions
    assert isinstance(expected, Expected)
    (target,) = expected.targets
    estimated = {day.day: day.performance.accuracy.value for day in target.days}
    told = {day.day: day.accuracy.value for day in version.days if day.accuracy is not None}
    return {"by labels": _by_day(told), "estimated before": _by_day(estimated)}
