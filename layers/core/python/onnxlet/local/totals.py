"""Totals of predictions by model, version and alias, over all workers, in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from onnxlet.local.shared_bytes import SharedBytes
from onnxlet.telemetry import ERRORS, PREDICTIONS, log
from onnxlet.telemetry.metrics import METRICS, MILLISECONDS, SCORES
from onnxlet.telemetry.recording import Record
from onnxlet.telemetry.tallies import BINS, Series, Tallies, Tally

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
"""Seconds up to which the buckets of a histogram of times reach."""
SCORE_BUCKETS = 10
Labels = dict[str, str]


class Histogram(msgspec.Struct):
    """Values by bucket, the last of which is open, and their sum."""

    buckets: list[int]
    sum: float = 0.0

    def add(self, other: Histogram) -> None:
        """Add another's values."""
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.sum += other.sum


class Total(msgspec.Struct):
    """What came of one version: sums by name, by kind and by class, and histograms."""

    counts: dict[str, float] = {}
    errors: dict[str, float] = {}
    classes: dict[str, dict[str, float]] = {}
    times: dict[str, Histogram] = {}
    scores: dict[str, Histogram] = {}

    def add(self, other: Total) -> None:
        """Add another's."""
        _add(self.counts, other.counts)
        _add(self.errors, other.errors)
        for output, counts in other.classes.items():
            _add(self.classes.setdefault(output, {}), counts)
        for mine, theirs in ((self.times, other.times), (self.scores, other.scores)):
            for name, histogram in theirs.items():
                mine.setdefault(name, Histogram([0] * len(histogram.buckets))).add(histogram)


_decoder = msgspec.msgpack.Decoder(list[tuple[Series, Total]])


class Totals:
    """A watcher that adds up what one worker observes, and shares it; a worker goes on where its predecessor ended."""

    def __init__(self, shared: SharedBytes) -> None:
        self._shared = shared
        self._tallies = Tallies()
        self._totals: dict[Series, Total] = dict(_decoder.decode(shared.own() or b"\x90"))
        self._said = False

    def fold(self, records: Sequence[Record]) -> None:
        """Add to the tallies."""
        self._tallies.fold(records)

    def flush(self, *, final: bool) -> None:  # noqa: ARG002 - outcomes of too few rows are dropped, last time or not
        """Add the tallies to the totals, and share these."""
        taken = self._tallies.take()
        for series, tally in taken.items():
            self._totals.setdefault(series, Total()).add(_total_of(tally))
        if taken and not self._shared.write(msgspec.msgpack.encode(list(self._totals.items()))) and not self._said:
            self._said = True
            log(__name__).warning("there is too much to tell at /metrics: it stays as it is")


def text_of(shared: SharedBytes) -> str:
    """The sums over all workers, as Prometheus reads them."""
    totals: dict[Series, Total] = defaultdict(Total)
    for data in shared.all():
        for series, total in _decoder.decode(data):
            totals[series].add(total)
    samples = _Samples()
    for series, total in sorted(totals.items()):
        samples.add(series._asdict(), total)
    return samples.text()


class _Samples:
    """Lines by metric, for all of a metric's stand together."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = defaultdict(list)

    def add(self, labels: Labels, total: Total) -> None:
        for name, value in total.counts.items():
            if name != ERRORS:  # which are told by kind
                self._add(name, "", labels, value)
        for kind, value in total.errors.items():
            self._add(ERRORS, "", labels | {"kind": kind}, value)
        for output, classes in total.classes.items():
            for told, value in classes.items():
                self._add(PREDICTIONS, "", labels | {"output": output, "class": told}, value)
        for name, histogram in total.times.items():
            self._add_histogram(name, labels, histogram, BOUNDS)
        for output, histogram in total.scores.items():
            bounds = [(bucket + 1) / SCORE_BUCKETS for bucket in range(SCORE_BUCKETS)]
            self._add_histogram(next(iter(SCORES)), labels | {"output": output}, histogram, bounds)

    def _add(self, name: str, suffix: str, labels: Labels, value: float) -> None:
        written = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        self._lines[name].append(f"{METRICS[name].prometheus}{suffix}{{{written}}} {value:.10g}")

    def _add_histogram(self, name: str, labels: Labels, histogram: Histogram, bounds: Sequence[float]) -> None:
        reached = 0
        for bound, count in zip([*map(str, bounds), "+Inf"], histogram.buckets, strict=True):
            reached += count
            self._add(name, "_bucket", labels | {"le": bound}, reached)
        self._add(name, "_sum", labels, histogram.sum)
        self._add(name, "_count", labels, reached)

    def text(self) -> str:
        return "".join(f"{line}\n" for name in METRICS for line in self._of_metric(name))

    def _of_metric(self, name: str) -> Iterator[str]:
        if name in self._lines:
            metric = METRICS[name]
            histogram = metric.unit == MILLISECONDS or name in SCORES
            meaning = "Probabilities of the labels told" if name in SCORES else metric.meaning.capitalize()
            yield f"# HELP {metric.prometheus} {meaning}."
            yield f"# TYPE {metric.prometheus} {'histogram' if histogram else 'counter'}"
            yield from self._lines[name]


def _total_of(tally: Tally) -> Total:
    return Total(
        dict(tally.counts),
        dict(tally.errors),
        {output: dict(classes) for output, classes in tally.outcomes.classes.items()},
        {name: _times(seconds) for name, seconds in tally.times.items()},
        {output: _scores(bins) for output, bins in tally.outcomes.scores.items()},
    )


def _times(seconds: Iterable[float]) -> Histogram:
    histogram = Histogram([0] * (len(BOUNDS) + 1))
    for value in seconds:
        histogram.buckets[bisect_left(BOUNDS, value)] += 1
        histogram.sum += value
    return histogram


def _scores(bins: Sequence[int]) -> Histogram:
    width = BINS // SCORE_BUCKETS
    buckets = [sum(bins[start : start + width]) for start in range(0, BINS, width)]
    return Histogram([*buckets, 0], sum(count * (position + 0.5) / BINS for position, count in enumerate(bins)))


def _add(sums: dict[str, float], more: dict[str, float]) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0) + value


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
