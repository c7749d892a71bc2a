"""The section of expected performance: how often versions are right, estimated from their scores before labels come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce

import msgspec

from onnxlet.errors import NotFoundError
from onnxlet.monitor.estimate import Performance, estimate_performance
from onnxlet.monitor.intervals import Interval
from onnxlet.monitor.report.plots import Lines
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.report.section import Section
from onnxlet.monitor.report.shown import FEWEST_SHOWN
from onnxlet.monitor.scores import ScoresDocument, add_scores
from onnxlet.registry.reading import lookup
from onnxlet.steps import names_of
from onnxlet.values.tables import Block, Facts, Table


class DayExpected(msgspec.Struct, frozen=True):
    """What is expected of the rows of one day."""

    day: str
    performance: Performance


class TargetExpected(msgspec.Struct, frozen=True):
    """One target of one version: what is expected of all its rows, and by day.

    `output` is the one that tells its label. Where `calibrated` is false nobody has calibrated the scores when the
    version was made: the estimate is as wrong as they are, and the intervals promise nothing.
    """

    version: int
    output: str
    calibrated: bool
    performance: Performance
    days: tuple[DayExpected, ...]


class Expected(msgspec.Struct, frozen=True):
    """The section."""

    targets: tuple[TargetExpected, ...]


def read_expected(scope: Scope) -> Expected | None:
    """Estimate each day; None where no version tells classes and their probabilities. Raises IntegrityError."""
    found = tuple(target for version in scope.versions for target in _read_version(scope, version))
    return Expected(found) if found else None


def show_expected(expected: Expected) -> list[Block]:
    """A table of versions, what it is worth, and plots."""
    rows = [
        (
            target.version,
            target.output,
            target.performance.rows,
            *(_tell(figure) for figure in _figures(target.performance)),
            "yes" if target.calibrated else "no: only an estimate",
        )
        for target in expected.targets
    ]
    head = ("version", "output", "rows", "accuracy, estimated", "AUC, estimated", "F1, estimated", "calibrated")
    worth = (
        "from scores, without labels (CBPE): it holds as long as scores are calibrated for the rows that come, and "
        "does not see that the same inputs mean something else"
    )
    plots = [_draw(target) for target in expected.targets if len(target.days) > 1]
    return [Table(head, rows), Facts((("an estimate", worth),)), *plots]


def _read_version(scope: Scope, version: int) -> Iterator[TargetExpected]:
    by_day: dict[str, ScoresDocument] = {}
    for day, window in scope.windows(version).items():
        by_day[day] = _add_all(sketch.scores for sketch in window.sketches)
    calibrated = _calibrated(scope, version) if any(by_day.values()) else frozenset()
    for output in dict.fromkeys(name for document in by_day.values() for name in document):
        total = _add_all(by_day.values())[output]
        days = tuple(_estimate_days(by_day, output))
        performance = estimate_performance(total)
        if performance is not None and days:
            yield TargetExpected(version, output, output in calibrated, performance, days)


def _add_all(documents: Iterable[ScoresDocument]) -> ScoresDocument:
    nothing: ScoresDocument = {}
    return reduce(add_scores, documents, nothing)


def _estimate_days(by_day: Mapping[str, ScoresDocument], output: str) -> Iterator[DayExpected]:
    for day, document in by_day.items():
        performance = estimate_performance(document.get(output, {}))
        if performance is not None and performance.rows >= FEWEST_SHOWN:
            yield DayExpected(day, performance)


def _calibrated(scope: Scope, version: int) -> frozenset[str]:
    """The outputs of labels whose probabilities a step of the version calibrates."""
    try:
        manifest, _ = lookup.manifest(scope.store, scope.model, version)
    except NotFoundError:
        return frozenset()
    steps = (step for step in manifest.steps if step.get("kind") == "output" and step.get("calibration"))
    return frozenset(names_of(str(step.get("target", ""))).label for step in steps)


def _figures(performance: Performance) -> tuple[Interval | None, ...]:
    return performance.accuracy, performance.auc, performance.f1


def _tell(figure: Interval | None) -> str:
    return "" if figure is None else f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _draw(target: TargetExpected) -> Lines:
    drawn = [day.performance.accuracy for day in target.days]
    return Lines(
        f"accuracy of {target.output} of version {target.version}, estimated, by day",
        [day.day for day in target.days],
        {
            "estimate": [each.value for each in drawn],
            "from": [each.low for each in drawn],
            "to": [each.high for each in drawn],
        },
    )


SECTION = Section("expected", "Accuracy before labels, estimated", Expected, read_expected, show_expected)
