"""The section of traffic: how many rows a version predicted, day by day, and whether they can be compared at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

import msgspec

from onnxlet import telemetry
from onnxlet.monitor.report.plots import Lines
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.report.section import Finding, Measure, Section
from onnxlet.monitor.report.shown import show_count
from onnxlet.monitor.versions import baseline_given
from onnxlet.registry.reading.listing import aliases
from onnxlet.values.tables import Block, Facts, Table

QUIET_DAYS = 2
"""Closed days without a row, at least, before the silence of a version is told."""
MOST_DRAWN = 100


class DayTraffic(msgspec.Struct, frozen=True):
    """One day: rows that were counted, None for one to four, and the sketches of it that cannot be read."""

    day: str
    rows: int | None
    unread: int = 0


class VersionTraffic(msgspec.Struct, frozen=True):
    """One version, the aliases that route to it now, and its days, those without rows left out.

    `quiet` are the closed days since the last row, `longest` as many as were ever quiet before, so that a model that
    nobody asks on weekends is not silent then. `stale` says that the newest rows were counted in the bins of another
    baseline than the version has had since the day before: nothing can be said of their drift.
    """

    version: int
    aliases: tuple[str, ...]
    days: tuple[DayTraffic, ...]
    quiet: int = 0
    longest: int = 0
    stale: bool = False

    @property
    def silent(self) -> bool:
        """Whether rows should come and do not."""
        return bool(self.aliases and self.days) and self.quiet >= max(QUIET_DAYS, self.longest + 1)

    @property
    def served(self) -> bool:
        """Whether it matters what is wrong with it: an alias routes to it, or somebody asked for it lately."""
        return bool(self.aliases) or (bool(self.days) and self.quiet < QUIET_DAYS)


class Traffic(msgspec.Struct, frozen=True):
    """The section."""

    closed: str
    versions: tuple[VersionTraffic, ...]


def read_traffic(scope: Scope) -> Traffic:
    """Count the rows of each day. Raises IntegrityError."""
    routed: dict[int, list[str]] = {}
    for name, alias in aliases(scope.store, scope.model).items():
        for route in alias.routes:
            if route.weight:
                routed.setdefault(route.version, []).append(name)
    versions = (_read_version(scope, version, tuple(routed.get(version, ()))) for version in scope.versions)
    return Traffic(scope.closed, tuple(versions))


def find_silence(traffic: Traffic) -> list[Finding]:
    """Versions that an alias routes to and nobody asks any more, and those whose baseline is not the one counted in."""
    return [finding for version in traffic.versions for finding in _find_of(version, traffic.closed)]


def measure_traffic(traffic: Traffic) -> Iterator[Measure]:
    """How long each version was asked nothing, and whether its rows can be compared."""
    for version in traffic.versions:
        yield Measure(version.version, telemetry.QUIET_DAYS, version.quiet)
        yield Measure(version.version, telemetry.STALE_BASELINE, version.stale)


def show_traffic(traffic: Traffic) -> list[Block]:
    """The rows of each version, and a plot."""
    rows = [
        (
            version.version,
            ", ".join(version.aliases),
            sum(day.rows or 0 for day in version.days),
            version.days[-1].day if version.days else "",
            version.quiet or None,
            sum(day.unread for day in version.days) or None,
            "stale" if version.stale else "",
        )
        for version in traffic.versions
    ]
    head = ("version", "aliases", "rows", "newest day", "quiet days", "unreadable sketches", "baseline")
    return [Facts((("closed until", traffic.closed),)), Table(head, rows), _draw(traffic)]


def _read_version(scope: Scope, version: int, names: tuple[str, ...]) -> VersionTraffic:
    windows = {day: window for day, window in scope.windows(version).items() if window.rows or window.unread}
    days = tuple(DayTraffic(day, show_count(each.rows), len(each.unread)) for day, each in windows.items())
    asked = [day for day, window in windows.items() if window.rows]
    if not asked:
        return VersionTraffic(version, names, days)
    gaps = [_between(first, second) for first, second in pairwise(asked)]
    quiet = max(0, _between(asked[-1], scope.closed) + 1)
    return VersionTraffic(version, names, days, quiet, max(gaps, default=0), _is_stale(scope, version, asked[-1]))


def _is_stale(scope: Scope, version: int, newest: str) -> bool:
    counted = {each.day: each for each in scope.counted(version)}
    if newest not in counted or counted[newest].rows:
        return False
    return newest > baseline_given(scope.store, scope.model, version)


def _between(first: str, second: str) -> int:
    """Whole days between two days."""
    return (date.fromisoformat(second) - date.fromisoformat(first)).days - 1


def _find_of(version: VersionTraffic, closed: str) -> Iterator[Finding]:
    if version.silent:
        says = f"nobody has asked for {version.quiet} days, though {_listed(version.aliases)} routes here"
        yield Finding("no traffic", version.version, closed, "", says)
    if version.stale:
        says = "the newest rows were counted in the bins of another baseline: restart what serves them"
        yield Finding("stale baseline", version.version, version.days[-1].day, "", says)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)


def _draw(traffic: Traffic) -> Lines:
    told = {version.version: {day.day: day.rows for day in version.days} for version in traffic.versions}
    days = _every_day(sorted({day for days in told.values() for day in days}))
    return Lines(
        "rows by day", days, {f"version {name}": [rows.get(day, 0) for day in days] for name, rows in told.items()}
    )


def _every_day(known: Sequence[str]) -> list[str]:
    """The days from the first to the last; of more than a plot has room for only those that are known."""
    if not known:
        return []
    first, between = date.fromisoformat(known[0]), _between(known[0], known[-1])
    if between > MOST_DRAWN:
        return list(known)
    return [(first + timedelta(days=place)).isoformat() for place in range(between + 2)]


SECTION = Section("traffic", "Traffic", Traffic, read_traffic, show_traffic, find_silence, measure_traffic)
