"""The section of labels: how often versions were right, as far as that is known by now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

import msgspec
import numpy as np

from onnxlet.monitor.capture.accuracy import (
    Reliability,
    bootstrap,
    brier,
    calibration_error,
    mean_absolute_error,
    reliability,
    root_mean_square_error,
    wilson,
)
from onnxlet.monitor.capture.joined import Answers, Joinable, JoinedRow, join, joinable
from onnxlet.monitor.capture.labels import read_labels
from onnxlet.monitor.capture.truths import as_number
from onnxlet.monitor.intervals import Interval
from onnxlet.monitor.report.plots import Lines
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.report.section import Finding, Section
from onnxlet.monitor.report.shown import FEWEST_SHOWN, show_count
from onnxlet.values.tables import Block, Facts, Table

FEWEST_JUDGED = 20
SURELY = 3.09
"""Standard deviations of the interval that held-out accuracy must lie above: 1 of 1,000 days, by chance."""
TRIFLE = 0.02
MOST_VALUES = 16
"""Values of a slice that are told one by one, the most frequent."""
Figures = dict[str, Interval]


class DayLabels(msgspec.Struct, frozen=True):
    """One day: rows that were captured, those that have a label (None for one to four), and how many were right."""

    day: str
    rows: int | None
    labelled: int | None
    accuracy: Interval | None = None


class SliceLabels(msgspec.Struct, frozen=True):
    """The labelled rows with one value of a column."""

    column: str
    value: str
    labelled: int
    figures: Figures


class VersionLabels(msgspec.Struct, frozen=True):
    """One version; of one that tells several things, what it tells in `output`, which else is empty.

    `lag` are the days from a row to its label, in the middle; `held_out` is the accuracy it came with. `figures` are,
    of classes, accuracy, brier and calibration_error (the latter two of the probability of the label that was told),
    of numbers mae and rmse.
    """

    version: int
    rows: int
    labelled: int
    lag: float | None
    held_out: float | None
    figures: Figures
    bins: tuple[Reliability, ...]
    slices: tuple[SliceLabels, ...]
    days: tuple[DayLabels, ...]
    output: str = ""

    @property
    def name(self) -> str:
        """Whose figures these are, as titles and heads of tables end."""
        return f"{self.output}, version {self.version}" if self.output else f"version {self.version}"

    @property
    def coverage(self) -> float:
        """The share of captured rows that have a label."""
        return self.labelled / self.rows if self.rows else 0.0


class Labels(msgspec.Struct, frozen=True):
    """The section."""

    versions: tuple[VersionLabels, ...]


def read_accuracy(scope: Scope) -> Labels | None:
    """Join captured rows with their labels; None where too few can be shown. Raises IntegrityError."""
    known = {version: found for version in scope.versions if (found := joinable(scope.store, scope.model, version))}
    labels = read_labels(scope.store, scope.model) if known else {}
    if not labels:
        return None
    read = []
    for version, found in known.items():
        captured: Counter[str] = Counter()
        labelled: list[list[JoinedRow]] = [[] for _ in found.answers]
        for rows in join(scope.store, scope.model, version, found, labels, since=scope.since):
            if scope.includes(rows[0].day):
                captured[rows[0].day] += 1
                for own, row in zip(labelled, rows, strict=True):
                    if row.truth is not None:  # the others may be millions
                        own.append(row)
        for place, own in enumerate(labelled):
            if len(own) >= FEWEST_SHOWN:
                read.append(_read_version(version, found, place, captured, own))
    return Labels(tuple(read)) if read else None


def find_falls(labels: Labels) -> list[Finding]:
    """Versions that were right less often on their newest labelled day than on held-out rows, surely and by more than a
    trifle.
    """
    return [finding for version in labels.versions for finding in _find_of(version)]


def show_labels(labels: Labels) -> list[Block]:
    """A table of versions and of each one's calibration and slices, and plots."""
    rows = [
        (
            version.version,
            version.output,
            version.rows,
            version.labelled,
            f"{version.coverage:.1%}",
            None if version.lag is None else f"{version.lag:g}",
            *(_tell(version.figures.get(name)) for name in ("accuracy", "brier", "calibration_error", "mae", "rmse")),
            None if version.held_out is None else f"{version.held_out:.4g}",
        )
        for version in labels.versions
    ]
    head = (
        "version",
        "output",
        "rows",
        "labelled",
        "coverage",
        "lag, days",
        "accuracy",
        "Brier",
        "ECE",
        "MAE",
        "RMSE",
        "held out",
    )
    return [Table(head, rows), *(block for version in labels.versions for block in _show_version(version))]


def _read_version(
    version: int, known: Joinable, place: int, captured: Mapping[str, int], labelled: Sequence[JoinedRow]
) -> VersionLabels:
    answers = known.answers[place]
    return VersionLabels(
        version,
        sum(captured.values()),
        len(labelled),
        median([row.lag for row in labelled if row.lag is not None]),
        answers.held_out,
        _figures(answers, labelled),
        _bins(labelled) if answers.classes else (),
        tuple(_read_slices(known.policy.slices, answers, labelled)),
        tuple(_read_days(answers, captured, labelled)),
        answers.told if len(known.answers) > 1 else "",
    )


def _figures(answers: Answers, labelled: Sequence[JoinedRow]) -> Figures:
    if not answers.classes:
        return _errors(labelled)
    figures = {"accuracy": wilson(sum(row.right for row in labelled), len(labelled))}
    pairs = [(row.probability, row.right) for row in labelled if row.probability is not None]
    if len(pairs) >= FEWEST_SHOWN:
        probabilities, right = np.array(pairs, dtype=np.float64).T
        figures["brier"] = bootstrap(brier, probabilities, right)
        figures["calibration_error"] = bootstrap(calibration_error, probabilities, right)
    return figures


def _errors(labelled: Sequence[JoinedRow]) -> Figures:
    numbers = [(as_number(row.told), as_number(row.truth)) for row in labelled if row.truth is not None]
    pairs = [(told, true) for told, true in numbers if told is not None and true is not None]
    if len(pairs) < FEWEST_SHOWN:
        return {}
    told, true = np.array(pairs, dtype=np.float64).T
    return {"mae": bootstrap(mean_absolute_error, told, true), "rmse": bootstrap(root_mean_square_error, told, true)}


def _bins(labelled: Sequence[JoinedRow]) -> tuple[Reliability, ...]:
    pairs = [(row.probability, row.right) for row in labelled if row.probability is not None]
    if len(pairs) < FEWEST_SHOWN:
        return ()
    probabilities, right = np.array(pairs, dtype=np.float64).T
    return reliability(probabilities, right, FEWEST_SHOWN)


def _read_slices(columns: Iterable[str], answers: Answers, labelled: Sequence[JoinedRow]) -> Iterator[SliceLabels]:
    for column in columns:
        counted = Counter(row.slices[column] for row in labelled)
        for value, count in counted.most_common(MOST_VALUES):
            if count >= FEWEST_SHOWN:
                chosen = [row for row in labelled if row.slices[column] == value]
                yield SliceLabels(column, value, count, _figures(answers, chosen))


def _read_days(answers: Answers, captured: Mapping[str, int], labelled: Sequence[JoinedRow]) -> Iterator[DayLabels]:
    by_day: defaultdict[str, list[JoinedRow]] = defaultdict(list)
    for row in labelled:
        by_day[row.day].append(row)
    for day, rows in sorted(captured.items()):
        its = by_day[day]
        enough = len(its) >= FEWEST_SHOWN and answers.classes
        accuracy = wilson(sum(row.right for row in its), len(its)) if enough else None
        yield DayLabels(day, show_count(rows), show_count(len(its)), accuracy)


def _find_of(version: VersionLabels) -> Iterator[Finding]:
    judged = [day for day in version.days if day.accuracy is not None and (day.labelled or 0) >= FEWEST_JUDGED]
    if not judged or version.held_out is None:
        return
    newest = judged[-1]
    assert newest.accuracy is not None  # noqa: S101 - those without were left out
    assert newest.labelled is not None  # noqa: S101 - same
    surely = wilson(round(newest.accuracy.value * newest.labelled), newest.labelled, SURELY)
    if surely.high < version.held_out - TRIFLE:
        says = (
            f"of {newest.labelled} labelled rows {newest.accuracy.value:.1%} were right, "
            f"of held-out rows {version.held_out:.1%}"
        )
        yield Finding("accuracy", version.version, newest.day, version.output, says)


def _show_version(version: VersionLabels) -> Iterator[Block]:
    name = version.name
    if version.bins:
        yield Table(
            (f"probability, {name}", "labelled", "mean probability", "right"),
            [
                (f"{it.low:g} to {it.high:g}", it.rows, f"{it.probability:.3f}", f"{it.right:.3f}")
                for it in version.bins
            ],
        )
        yield Lines(
            f"right by probability, {name}",
            [f"{it.low:g} to {it.high:g}" for it in version.bins],
            {"right": [it.right for it in version.bins], "mean probability": [it.probability for it in version.bins]},
        )
    if version.slices:
        shown = "accuracy" if "accuracy" in version.figures else "mae"
        yield Table(
            (f"slice, {name}", "value", "labelled", shown),
            [(it.column, it.value, it.labelled, _tell(it.figures.get(shown))) for it in version.slices],
        )
    if any(day.accuracy for day in version.days):
        yield Facts((("lag", f"labels come {version.lag:g} days after their rows, in the middle"),))
        yield Lines(
            f"accuracy by day, {name}",
            [day.day for day in version.days],
            {"accuracy": [None if day.accuracy is None else day.accuracy.value for day in version.days]},
            version.held_out,
        )


def _tell(figure: Interval | None) -> str | None:
    return None if figure is None else f"{figure.value:.4g} ({figure.low:.4g} to {figure.high:.4g})"


SECTION = Section("labels", "Accuracy by labels", Labels, read_accuracy, show_labels, find_falls)
