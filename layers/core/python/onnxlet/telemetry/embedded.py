"""Metrics in CloudWatch's embedded format: lines of JSON on standard output, which CloudWatch reads by itself.

Format: "Specification: CloudWatch embedded metric format" of the CloudWatch user guide. A line holds at most 100 values
of a metric; its timestamp is that of the last request in it, so what a frozen function writes late still lies in its
minute.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from onnxlet import telemetry
from onnxlet.telemetry import metrics
from onnxlet.telemetry.metrics import METRICS, NAMESPACE
from onnxlet.telemetry.recording import Record
from onnxlet.telemetry.tallies import Outcomes, Series, Tallies, Tally, quantile

MOST_VALUES = 100
DIGITS = 4
"""Significant digits of a time."""
BY_MODEL = ("function", "model")
BY_VERSION = ("function", "model", "version", "alias")
Values = Mapping[str, float | list[float]]
Document = dict[str, object]


class EmbeddedMetrics:
    """A watcher that writes the metrics of one function."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._tallies = Tallies()

    def fold(self, records: Sequence[Record]) -> None:
        """Add to the tallies."""
        self._tallies.fold(records)

    def flush(self, *, final: bool) -> None:  # noqa: ARG002 - outcomes of too few rows are dropped, last time or not
        """Write a line or several for each series that something came to."""
        _write(
            line for series, tally in self._tallies.take().items() for line in lines_of(series, tally, self._function)
        )


def write_tally(series: Series, tally: Tally, function: str) -> None:
    """Write a tally that no request made."""
    _write(lines_of(series, tally, function))


def _write(documents: Iterable[Document]) -> None:
    lines = [msgspec.json.encode(document).decode() for document in documents]
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def lines_of(series: Series, tally: Tally, function: str) -> Iterator[Document]:
    """A tally as documents of the format."""
    named = {"function": function, **series._asdict()}
    at = int(tally.latest * 1000)
    first: dict[str, float | list[float]] = dict(tally.counts)
    longest = max(map(len, tally.times.values()), default=0)
    for start in range(0, longest or 1, MOST_VALUES):
        times = {name: _milliseconds(seconds[start : start + MOST_VALUES]) for name, seconds in tally.times.items()}
        values = first | {name: part for name, part in times.items() if part}
        if values:
            yield _line(at, named, (BY_MODEL, BY_VERSION), values)
        first = {}
    for kind, count in tally.errors.items():
        yield _line(at, {**named, "kind": kind}, ((*BY_MODEL, "kind"),), {telemetry.ERRORS: count})
    yield from _outcome_lines(at, named, tally.outcomes)


def _outcome_lines(at: int, named: Mapping[str, str], outcomes: Outcomes) -> Iterator[Document]:
    for output, bins in outcomes.scores.items():
        scores = {name: quantile(bins, share) for name, share in metrics.SCORES.items()}
        yield _line(at, {**named, "output": output}, ((*BY_VERSION, "output"),), scores)
    for output, classes in outcomes.classes.items():
        for name, count in classes.items():
            told = {**named, "output": output, "class": name}
            yield _line(at, told, ((*BY_VERSION, "output", "class"),), {telemetry.PREDICTIONS: count})


def _line(at: int, named: Mapping[str, str], dimensions: Sequence[Sequence[str]], values: Values) -> Document:
    definitions = [{"Name": name, "Unit": METRICS[name].unit} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": definitions}
    return {"_aws": {"Timestamp": at, "CloudWatchMetrics": [directive]}, **named, **values}


def _milliseconds(seconds: Sequence[float]) -> list[float]:
    return [float(f"{value * 1000:.{DIGITS}g}") for value in seconds]
