"""The section of data quality: what is missing, out of range or unknown in live rows, beside the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from onnxlet import telemetry
from onnxlet.monitor.baseline import Categories, Column, tested_counts
from onnxlet.monitor.levels import MONTH
from onnxlet.monitor.report.plots import Lines
from onnxlet.monitor.report.scope import Counted, Scope
from onnxlet.monitor.report.section import Finding, Measure, Section
from onnxlet.monitor.report.shown import show_count
from onnxlet.monitor.sketch import INPUTS
from onnxlet.monitor.statistics import chi_square, holm
from onnxlet.values.tables import Block, Facts, Table
from onnxlet.values.tensors import Tensor

FLOORS = {"missing": 0.01, "out of range": 0.05, "unknown": 0.05}
"""How much larger a share must be than the baseline's to be a fault."""
COARSE = 0.01
COARSE_FLOOR = 0.5
"""Where a larger share than COARSE of the baseline lies in the outermost bins, a shift moves many rows there."""
MOST_COLUMNS = 100
MOST_SHOWN = 10
MOST_DRAWN = 6
_FEWEST_BINS = 3
Check = Literal["missing", "out of range", "unknown"]


class ColumnQuality(msgspec.Struct, frozen=True):
    """One check of one column on one day: the rows that fail it, and their share of all beside the baseline's.

    `missing` are rows without a value; `out of range` those beyond the outermost edges of the baseline (0.1 and 99.9 %
    where it has 10,000 rows, else its outermost bins); `unknown` those of a category that the baseline names no bin
    for. `rows` and `share` are None where one to four rows fail. `adjusted` is the p-value of the difference among all
    checks of the day (Holm), `fault` whether the share has grown by more than chance and by more than a trifle.
    """

    name: str
    check: Check
    rows: int | None
    share: float | None
    expected: float
    adjusted: float
    fault: bool


class DayQuality(msgspec.Struct, frozen=True):
    """One day: the checks that differ most surely, a hundred at most; those that no row fails are left out.

    `basis` is a digest of what was checked: while it is the same nothing is checked anew.
    """

    day: str
    rows: int
    faults: int
    columns: tuple[ColumnQuality, ...]
    basis: str = ""


class VersionQuality(msgspec.Struct, frozen=True):
    """The days of one version that have rows."""

    version: int
    days: tuple[DayQuality, ...]


class Quality(msgspec.Struct, frozen=True):
    """The section."""

    versions: tuple[VersionQuality, ...]


class _Found(NamedTuple):
    """Rows that fail a check, of how many, and both in the baseline."""

    name: str
    check: Check
    failing: int
    rows: int
    known_failing: int
    known_rows: int

    @property
    def share(self) -> float:
        return self.failing / self.rows if self.rows else 0.0

    @property
    def expected(self) -> float:
        return self.known_failing / self.known_rows if self.known_rows else 0.0


def read_quality(scope: Scope) -> Quality | None:
    """Check each day of the versions that have a baseline; None without any. Raises IntegrityError."""
    versions = tuple(
        VersionQuality(version, tuple(_check_days(scope, version)))
        for version in scope.versions
        if scope.baseline(version) is not None
    )
    return Quality(versions) if versions else None


def find_faults(quality: Quality) -> list[Finding]:
    """The faults on the newest day of each version."""
    return [
        Finding("quality", version.version, day.day, column.name, _say(day, column))
        for version in quality.versions
        for day in version.days[-1:]
        for column in _first_of_each(day.columns)
    ]


def measure_quality(quality: Quality) -> Iterator[Measure]:
    """How many checks the newest day of each version fails."""
    for version in quality.versions:
        for day in version.days[-1:]:
            yield Measure(version.version, telemetry.QUALITY_FAULTS, day.faults)


def show_quality(quality: Quality) -> list[Block]:
    """The days of each version, the checks of its newest day, and a plot."""
    return [block for version in quality.versions if version.days for block in _show_version(version)]


def _check_days(scope: Scope, version: int) -> Iterator[DayQuality]:
    before = scope.told.get(SECTION.name)
    versions = before.versions if isinstance(before, Quality) else ()
    told = {day.basis: day for each in versions if each.version == version for day in each.days}
    for counted in scope.counted(version):
        if counted.rows:
            yield told.get(counted.basis) or _check_day(scope, counted)


def _check_day(scope: Scope, counted: Counted) -> DayQuality:
    level = scope.budget(counted.day) / MONTH  # of one day: a fault needs no second
    found = [each for column, counts in counted.sketch.columns(INPUTS) for each in _count(column, counts)]
    adjusted = holm([_grown(each) for each in found])
    columns = [_judge(each, p, level) for each, p in zip(found, adjusted, strict=True) if each.failing]
    columns.sort(key=lambda column: (not column.fault, column.adjusted, -(column.share or 0.0)))
    faults = sum(column.fault for column in columns)
    return DayQuality(counted.day, counted.rows, faults, tuple(columns[:MOST_COLUMNS]), counted.basis)


def _count(column: Column, counts: Tensor) -> Iterator[_Found]:
    live, known = counts[:-1], column.counts
    held, present = int(live.sum()), sum(known)
    missing = int(counts[-1])
    yield _Found(column.name, "missing", missing, held + missing, column.missing, column.missing + present)
    if isinstance(column, Categories):
        tested = tested_counts(column)
        yield _Found(column.name, "unknown", int(live[-1]), held, tested[-1], sum(tested))
    elif len(known) >= _FEWEST_BINS:
        yield _Found(column.name, "out of range", int(live[0] + live[-1]), held, known[0] + known[-1], present)


def _grown(found: _Found) -> float:
    """The p-value of a share that has grown; 1 for one that has not."""
    if not found.rows or found.share <= found.expected:
        return 1.0
    before = np.array([found.known_failing, found.known_rows - found.known_failing])
    return chi_square(before, np.array([found.failing, found.rows - found.failing]))


def _judge(found: _Found, p: float, level: float) -> ColumnQuality:
    rows = show_count(found.failing)
    share = None if rows is None else found.share
    fault = share is not None and p < level and share >= found.expected + _floor(found)
    return ColumnQuality(found.name, found.check, rows, share, found.expected, p, fault)


def _floor(found: _Found) -> float:
    return COARSE_FLOOR if found.check == "out of range" and found.expected > COARSE else FLOORS[found.check]


def _first_of_each(columns: Sequence[ColumnQuality]) -> list[ColumnQuality]:
    """The surest fault of each column that has one."""
    faults: dict[str, ColumnQuality] = {}
    for column in columns:
        if column.fault:
            faults.setdefault(column.name, column)
    return list(faults.values())


def _say(day: DayQuality, column: ColumnQuality) -> str:
    share = f"{column.share or 0.0:.1%} of {day.rows} rows of {day.day}"
    return f"{column.name} is {column.check} in {share}, in {column.expected:.1%} of the baseline's"


def _show_version(version: VersionQuality) -> list[Block]:
    newest = version.days[-1]
    rows = [
        (
            column.name,
            column.check,
            "<5" if column.rows is None else column.rows,
            "" if column.share is None else f"{column.share:.2%}",
            f"{column.expected:.2%}",
            f"{column.adjusted:.2g}",
            "fault" if column.fault else "",
        )
        for column in newest.columns[:MOST_SHOWN]
    ]
    head = (f"column on {newest.day}", "check", "rows", "share", "in the baseline", "p (Holm)", "")
    return [Facts((("version", version.version), ("faults", newest.faults))), Table(head, rows), _draw(version)]


def _draw(version: VersionQuality) -> Lines:
    drawn = [(column.name, column.check) for column in version.days[-1].columns[:MOST_DRAWN]]
    shares = [{(column.name, column.check): column.share for column in day.columns} for day in version.days]
    return Lines(
        f"rows of version {version.version} that fail a check, by day",
        [day.day for day in version.days],
        {f"{name} {check}": [day.get((name, check)) for day in shares] for name, check in drawn},
    )


SECTION = Section("quality", "Data quality", Quality, read_quality, show_quality, find_faults, measure_quality)
