"""Numbers of the report's sections that are shown as scalars, by day: the table of measures, by a section's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from onnxlet.monitor.report import drift, expected, labels, quality

Measure = tuple[str, str, float]
"""A day, a tag, a number."""


def measure_drift(told: drift.Drift) -> Iterator[Measure]:
    """How many columns differ and alarm, and how far each is from the baseline."""
    for day in (day for version in told.versions for day in version.days if day.rows):
        yield day.day, "columns that differ", day.differing
        yield day.day, "columns that alarm", len(day.alarms)
        for column in day.columns:
            yield day.day, f"psi/{column.name}", column.psi
            yield day.day, f"ks/{column.name}", column.ks
            if column.wasserstein is not None:
                yield day.day, f"wasserstein in sd/{column.name}", column.wasserstein


def measure_quality(told: quality.Quality) -> Iterator[Measure]:
    """How many checks fail, and the share of rows that fail each."""
    for day in (day for version in told.versions for day in version.days):
        yield day.day, "faults", day.faults
        for column in day.columns:
            if column.share is not None:
                yield day.day, f"{column.check}/{column.name}", column.share


def measure_labels(told: labels.Labels) -> Iterator[Measure]:
    """How many rows have labels, how often those were right, and the figures of all of them on the newest such day."""
    for version in told.versions:
        of = f" of {version.output}" if version.output else ""
        judged = [day for day in version.days if day.accuracy is not None]
        for day in version.days:
            if day.rows and day.labelled is not None:
                yield day.day, f"share labelled{of}", day.labelled / day.rows
        for day in judged:
            if day.accuracy is not None:
                yield day.day, f"accuracy{of}", day.accuracy.value
                yield day.day, f"accuracy{of}, low", day.accuracy.low
                yield day.day, f"accuracy{of}, high", day.accuracy.high
        for name, figure in version.figures.items() if judged else ():
            yield judged[-1].day, f"all labels/{name}{of}", figure.value


def measure_expected(told: expected.Expected) -> Iterator[Measure]:
    """What accuracy is expected before labels come: an estimate, with its interval."""
    for target in told.targets:
        for day in target.days:
            accuracy = day.performance.accuracy
            yield day.day, f"accuracy of {target.output}, estimated", accuracy.value
            yield day.day, f"accuracy of {target.output}, estimated, low", accuracy.low
            yield day.day, f"accuracy of {target.output}, estimated, high", accuracy.high


MEASURES: dict[str, Callable[[Any], Iterator[Measure]]] = {
    drift.SECTION.name: measure_drift,
    quality.SECTION.name: measure_quality,
    labels.SECTION.name: measure_labels,
    expected.SECTION.name: measure_expected,
}
