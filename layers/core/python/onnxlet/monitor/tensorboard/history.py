"""What a store holds of one model: its versions, the moves of its aliases, and the days of each version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from onnxlet.monitor.baseline import Baseline
from onnxlet.monitor.report.document import Report, read_report
from onnxlet.monitor.report.scope import Counted, Scope
from onnxlet.registry.reading import history, listing, lookup
from onnxlet.store import Store
from onnxlet.values.aliases import HistoryEntry, Routes
from onnxlet.values.manifest import Manifest

_EPOCH = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86_400


class VersionHistory(NamedTuple):
    """One version: what it is, what it is compared with, what it met day by day, and what the report says of it."""

    manifest: Manifest
    baseline: Baseline | None
    counted: Sequence[Counted]
    report: Report

    @property
    def run(self) -> str:
        """Where TensorBoard shows it."""
        return f"{self.manifest.model}/{self.manifest.version}"

    @property
    def published(self) -> float:
        """In seconds since the epoch."""
        return datetime.fromisoformat(self.manifest.created).timestamp()


class Traffic(NamedTuple):
    """What was answered on one day: requests, those with errors, cold starts, percentiles of milliseconds."""

    day: str
    requests: float
    errors: float
    cold_starts: float
    latency: Mapping[str, float]


class ModelHistory(NamedTuple):
    """One model. `traffic` is that of its versions, by number, where metrics tell."""

    model: str
    versions: Sequence[VersionHistory]
    moves: Mapping[str, Sequence[HistoryEntry]]
    traffic: Mapping[int, Sequence[Traffic]]

    def days(self) -> list[str]:
        """All days on which rows were counted, in order."""
        return sorted({each.day for version in self.versions for each in version.counted})

    def routes(self, alias: str, day: str) -> Routes:
        """Where an alias routed at the end of a day."""
        before = [entry for entry in self.moves[alias] if entry.when[:10] <= day]
        return before[-1].target if before else ()


def read_history(store: Store, model: str, traffic: Mapping[int, Sequence[Traffic]]) -> ModelHistory:
    """All of it. Raises ModelNotFoundError, IntegrityError."""
    published = [each.number for each in listing.versions(store, model) if each.state == "published"]
    moves = {alias: history.entries(store, model, alias) for alias in listing.aliases(store, model)}
    return ModelHistory(model, [_read_version(store, model, number) for number in published], moves, traffic)


def step_of(day: str) -> int:
    """A day (`2026-11-29`) in days since 1970."""
    return date.fromisoformat(day).toordinal() - _EPOCH


def noon_of(step: int) -> float:
    """A day's noon in seconds since the epoch."""
    return (step + 0.5) * _DAY_SECONDS


def _read_version(store: Store, model: str, number: int) -> VersionHistory:
    manifest, _ = lookup.manifest(store, model, number)
    scope = Scope(store, model, (number,))
    report = read_report(scope, written=datetime.fromtimestamp(0, UTC))  # the time of writing would make each one new
    return VersionHistory(manifest, scope.baseline(number), scope.counted(number), report)
