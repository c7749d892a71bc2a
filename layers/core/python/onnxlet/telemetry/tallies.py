"""Tallies: records folded into counts, times and outcomes, one for each model, version and alias.

How many there are is bounded: of models and versions beyond MOST_SERIES, and of classes beyond the first MOST_CLASSES
of a manifest, one series stands for all. Outcomes (classes and scores) wait until they are of FEWEST_ROWS rows, in
memory: those of one row would tell of one patient.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite, nan
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from onnxlet import telemetry
from onnxlet.telemetry import metrics
from onnxlet.telemetry.recording import Event, Observation, Record

if TYPE_CHECKING:
    from typing import Protocol

    from onnxlet.telemetry.recording import Tensor, Tensors

    class Names(Protocol):
        """What the served outputs of a target are called."""

        label: str
        probability: str

    class Target(Protocol):
        """What classes are told of, as `onnxlet.steps.classification.Classification` says it."""

        labels: tuple[str, ...]
        classes: tuple[bool | int | str, ...]

        @property
        def names(self) -> Names:
            """Of its outputs."""


MOST_SERIES = 100
"""Models, versions and aliases of one process."""
MOST_CLASSES = 20
"""Classes of one output."""
MOST_KINDS = 20
"""Kinds of errors of one series; the package has fewer."""
FEWEST_ROWS = 20
"""Rows that classes and scores are told of, at least."""
LONGEST = 100
"""Characters of a name that are told; CloudWatch takes 1,024."""
OTHER = "other"
NONE = "-"
"""What stands for an alias, a version or a model that there is not: a dimension must have a value."""
MOST_VALUES = 16_384
"""Of a row, that are looked at one by one."""
FEW = 8
"""Probabilities that are counted one by one."""
BINS = 100
"""Of the scores: bins of equal width from 0 to 1."""


class Series(NamedTuple):
    """Whose tally it is."""

    model: str
    version: str
    alias: str


class Outcomes(msgspec.Struct):
    """What was predicted: by output of labels, rows by class and their probabilities by bin."""

    rows: int = 0
    classes: dict[str, dict[str, int]] = {}
    scores: dict[str, list[int]] = {}


class _Waiting:
    """Outcomes that are gathered until they are of enough rows."""

    def __init__(self) -> None:
        self.rows = 0
        self._targets: dict[str, Target] = {}
        self._labels: defaultdict[str, Counter[object]] = defaultdict(Counter)
        self._scores: defaultdict[str, list[int]] = defaultdict(lambda: [0] * BINS)

    def add(self, targets: Sequence[Target], outputs: Tensors, rows: int) -> None:
        """Add the outputs of some rows."""
        self.rows += rows
        for target in targets:
            names = target.names
            name = names.label
            self._targets[name] = target
            if (labels := outputs.get(name)) is not None:
                self._labels[name].update(labels.ravel().tolist())
            if (probabilities := outputs.get(names.probability)) is not None:
                _add_to_bins(self._scores[name], probabilities)

    def outcomes(self) -> Outcomes:
        """What was gathered, in bounds."""
        classes = {name: _bounded(counts, self._targets[name]) for name, counts in self._labels.items()}
        return Outcomes(self.rows, classes, dict(self._scores))


def quantile(bins: Sequence[int], share: float) -> float:
    """The middle of the bin in which the probability of this share of the rows lies; NaN without any."""
    reached, wanted = 0, share * sum(bins)
    for position, count in enumerate(bins):
        reached += count
        if count and reached >= wanted:
            return (position + 0.5) / BINS
    return nan


class Tally(msgspec.Struct):
    """Counts by metric, errors by kind, seconds by metric of time, and outcomes; `latest` is the time of the last."""

    latest: float = 0.0
    counts: dict[str, float] = {}
    errors: dict[str, int] = {}
    times: dict[str, list[float]] = {}
    outcomes: Outcomes = msgspec.field(default_factory=Outcomes)

    def count(self, name: str, value: float = 1) -> None:
        """Add to a metric."""
        if value:
            self.counts[name] = self.counts.get(name, 0) + value


class Tallies:
    """The tallies of one process."""

    def __init__(self) -> None:
        self._tallies: dict[Series, Tally] = {}
        self._known: set[Series] = set()
        self._waiting: defaultdict[Series, _Waiting] = defaultdict(_Waiting)
        self._answered = False

    def fold(self, records: Iterable[Record]) -> None:
        """Add records."""
        asked: dict[Series, list[Tensors]] = {}
        for record in records:
            if isinstance(record, Event):
                self._add_event(record)
                continue
            series = self._add_observation(record)
            if record.prediction is not None and record.served is not None:
                asked.setdefault(series, []).append(record.prediction.inputs)
        for series, inputs in asked.items():
            self._tallies[series].count(telemetry.MISSING, _count_missing(inputs))

    def take(self) -> dict[Series, Tally]:
        """What was added since the last time, with the outcomes that are of enough rows."""
        taken, self._tallies = self._tallies, {}
        for series, waiting in list(self._waiting.items()):
            if waiting.rows >= FEWEST_ROWS:
                taken.setdefault(series, Tally()).outcomes = self._waiting.pop(series).outcomes()
        return taken

    def _tally(self, model: str, version: int | None, alias: str | None, at: float) -> tuple[Series, Tally]:
        series = Series(model[:LONGEST] or NONE, NONE if version is None else str(version), (alias or NONE)[:LONGEST])
        if series not in self._known:
            if len(self._known) >= MOST_SERIES:
                series = Series(OTHER, OTHER, OTHER)
            else:
                self._known.add(series)
        tally = self._tallies.get(series)
        if tally is None:
            tally = self._tallies[series] = Tally()
        tally.latest = max(tally.latest, at)
        return series, tally

    def _add_event(self, event: Event) -> None:
        _, tally = self._tally(event.model, event.version, None, event.time)
        for name, value in event.metrics.items():
            if metrics.METRICS[name].unit == metrics.MILLISECONDS:
                tally.times.setdefault(name, []).append(value)
            else:
                tally.count(name, value)

    def _add_observation(self, seen: Observation) -> Series:
        served = seen.served
        # names that no version answers for are the caller's own: as many as anybody likes
        if served is None:
            series, tally = self._tally(seen.model if seen.urgent else "", None, None, seen.time)
        else:
            series, tally = self._tally(seen.model, served.version, served.alias, seen.time)
            tally.count(telemetry.STALE, served.stale)
            tally.count(telemetry.FALLBACK, served.fallback)
        if seen.requests:
            self._add_request(seen, tally)
        if seen.prediction is not None and served is not None:
            rows = seen.rows
            tally.count(telemetry.ROWS, rows)
            tally.times.setdefault(telemetry.RUN_TIME, []).append(seen.prediction.run)
            for name, told in _told(served.model.tells, seen.prediction.outputs):
                tally.count(name, told)
            targets: Sequence[Target] = served.model.steps.targets
            if targets:
                self._waiting[series].add(targets, seen.prediction.outputs, rows)
        return series

    def _add_request(self, seen: Observation, tally: Tally) -> None:
        tally.count(telemetry.REQUESTS)
        if seen.error is not None:
            tally.count(telemetry.ERRORS)
            kind = _kind(seen.error)
            kind = kind if kind in tally.errors or len(tally.errors) < MOST_KINDS else OTHER
            tally.errors[kind] = tally.errors.get(kind, 0) + 1
        if not self._answered:
            self._answered = True
            tally.count(telemetry.COLD_STARTS)
        tally.count(telemetry.REQUEST_BYTES, seen.request_bytes)
        tally.count(telemetry.RESPONSE_BYTES, seen.response_bytes)
        tally.times.setdefault(telemetry.TOTAL_TIME, []).append(seen.total)


def _told(names: Iterable[str], outputs: Tensors) -> Iterator[tuple[str, int]]:
    """How many rows a version left to a human, how many it flagged, and in how many values.

    The former are outputs of truth values, the latter of texts, which name the columns, separated by commas.
    """
    for name in names:
        told = outputs.get(name)
        if told is None:
            continue
        if told.dtype.kind == "b":
            yield telemetry.ABSTENTIONS, int(np.count_nonzero(told))
            continue
        flagged = [str(text) for text in told.ravel().tolist() if text]
        yield telemetry.FLAGS, len(flagged)
        yield telemetry.OUT_OF_RANGE, sum(text.count(",") + 1 for text in flagged)


def _count_missing(asked: Sequence[Tensors]) -> int:
    """How many values rows lacked: NaN, None and empty texts. Pictures and the like lack none.

    Requests of the same columns are looked at together: thousands of small ones would take longer than their answers.
    """
    alike: dict[tuple[str, ...], list[Tensors]] = {}
    for inputs in asked:
        alike.setdefault(tuple(inputs), []).append(inputs)
    return sum(
        _missing_in(np.concatenate([inputs[name] for inputs in group], axis=None))
        for names, group in alike.items()
        for name in names
        if _may_lack(group[0][name])
    )


def _may_lack(tensor: Tensor) -> bool:
    """Whether its values are of a datatype that knows missing ones, and few enough in a row."""
    rows = len(tensor) if tensor.ndim else 1
    return tensor.dtype.kind in "fOSU" and tensor.size <= MOST_VALUES * max(rows, 1)


def _missing_in(values: Tensor) -> int:
    if values.dtype.kind == "f":
        return int(np.count_nonzero(np.isnan(values)))
    return sum(not value or value != value for value in values.tolist())  # noqa: PLR0124 - NaN differs from itself


def _kind(error: type[Exception]) -> str:
    slug = getattr(error, "slug", None)
    return str(slug()) if slug is not None else "internal"


def _bounded(labels: Counter[object], target: Target) -> dict[str, int]:
    """Rows by class: those of classes beyond the first of the manifest are others'."""
    told = {str(name)[:LONGEST] for name in (target.labels or target.classes)[:MOST_CLASSES]}
    counts: dict[str, int] = {}
    for label, count in labels.items():
        name = str(label)[:LONGEST]
        name = name if name in told else OTHER
        counts[name] = counts.get(name, 0) + count
    return counts


def _add_to_bins(bins: list[int], probabilities: Tensor) -> None:
    if probabilities.size <= FEW:  # numpy would take ten times as long
        for value in probabilities.ravel().tolist():
            if isfinite(value):
                bins[min(max(int(value * BINS), 0), BINS - 1)] += 1
        return
    values = probabilities.ravel().astype(np.float64)
    positions = (values[np.isfinite(values)] * BINS).clip(0, BINS - 1).astype(np.intp)
    bins[:] = (np.bincount(positions, minlength=BINS) + bins).tolist()
