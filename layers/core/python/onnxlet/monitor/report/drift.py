"""The section of drift: how a version's rows differ from its baseline, day by day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from onnxlet import telemetry
from onnxlet.monitor.baseline import Baseline
from onnxlet.monitor.comparison import STABILITY_FLOOR, ColumnDrift, Comparison, alarming, compare
from onnxlet.monitor.levels import BUDGET
from onnxlet.monitor.report.plots import Bars, Lines
from onnxlet.monitor.report.scope import Counted, Scope
from onnxlet.monitor.report.section import Finding, Measure, Section
from onnxlet.monitor.report.shown import show_cells, show_count
from onnxlet.monitor.sketch import Side, Sketch
from onnxlet.values.tables import Block, Facts, Table

MOST_COLUMNS = 100
"""Columns that are kept of a day, those first that differ most surely."""
MOST_SHOWN = 10
MOST_DRAWN = 6


class DayDrift(msgspec.Struct, frozen=True):
    """One day: rows in the baseline's bins and in those of others (`elsewhere`), and how each column differs.

    `differing` are the columns that differ by more than chance, those whose p is below the `level`, `alarms` those of
    them that alarm. `columns` are those that differ most surely, a hundred at most. `keyed` rows are one of each
    routing key, for which `repeated` others were left out, by `processes` that know nothing of each other's keys.
    `basis` is a digest of what was compared, `after` that of the day with rows before it, on which alarms depend: while
    both are the same nothing is compared anew.
    """

    day: str
    rows: int
    elsewhere: int
    level: float = 0.0
    differing: int = 0
    alarms: tuple[str, ...] = ()
    columns: tuple[ColumnDrift, ...] = ()
    keyed: int = 0
    repeated: int = 0
    processes: int = 0
    basis: str = ""
    after: str = ""


class Shape(msgspec.Struct, frozen=True):
    """The rows of a column by bin: how many the baseline and the newest day have, in bins that hold five or none."""

    side: Side
    name: str
    bins: tuple[str, ...]
    baseline: tuple[int, ...]
    window: tuple[int, ...]


class SliceDrift(msgspec.Struct, frozen=True):
    """The rows of a slice on the newest day that has some: the columns that differ by more than chance, the surest one.

    Slices raise no alarms.
    """

    slice: str
    day: str
    rows: int
    differing: tuple[str, ...]
    surest: ColumnDrift | None


class VersionDrift(msgspec.Struct, frozen=True):
    """The days of one version. `baseline` is the digest of what they are compared with; None if there is none."""

    version: int
    baseline: str | None
    days: tuple[DayDrift, ...]
    shapes: tuple[Shape, ...] = ()
    slices: tuple[SliceDrift, ...] = ()


class Drift(msgspec.Struct, frozen=True):
    """The section."""

    versions: tuple[VersionDrift, ...]


def read_drift(scope: Scope) -> Drift:
    """Compare each day with the version's baseline. Raises IntegrityError."""
    return Drift(tuple(_read_version(scope, version) for version in scope.versions))


def find_drift(drift: Drift) -> list[Finding]:
    """The columns that alarm on the newest day of each version that has rows."""
    return [
        Finding("drift", version.version, day.day, name, _say(day, name))
        for version in drift.versions
        for day in [day for day in version.days if day.rows][-1:]
        for name in day.alarms
    ]


def measure_drift(drift: Drift) -> Iterator[Measure]:
    """How far the newest day that was compared has drifted, and in how many columns."""
    for version in drift.versions:
        for day in [day for day in version.days if day.rows][-1:]:
            yield Measure(version.version, telemetry.DRIFT, max((column.psi for column in day.columns), default=0.0))
            yield Measure(version.version, telemetry.DRIFTED_COLUMNS, len(day.alarms))


def show_drift(drift: Drift) -> list[Block]:
    """The days of each version, the columns of its newest day, and plots."""
    return [block for version in drift.versions for block in _show_version(version)]


def _read_version(scope: Scope, version: int) -> VersionDrift:
    baseline = scope.baseline(version)
    if baseline is None:
        blank = tuple(DayDrift(day, 0, window.rows) for day, window in scope.windows(version).items())
        return VersionDrift(version, None, blank)
    counted = scope.counted(version)
    days = tuple(_Days(scope, version).compare())
    slices = tuple(_compare_slices(baseline, counted))
    return VersionDrift(version, baseline.pinned, days, tuple(_shapes(counted, days)), slices)


class _Days:
    """The days of a version, of which only those are compared that no earlier report tells of."""

    def __init__(self, scope: Scope, version: int) -> None:
        self._scope = scope
        self._version = version
        self._made: dict[str, Comparison] = {}

    def compare(self) -> Iterator[DayDrift]:
        """Each day, oldest first."""
        told = self._told()
        before: tuple[Counted, DayDrift] | None = None
        for counted in self._scope.counted(self._version):
            if not counted.rows:
                yield DayDrift(counted.day, 0, counted.elsewhere)
                continue
            day = told.get(counted.basis)
            if day is None or (before is not None and before[1].basis != day.after):
                day = self._judge(counted, before)
            yield day
            before = counted, day

    def _told(self) -> dict[str, DayDrift]:
        before = self._scope.told.get(SECTION.name)
        versions = before.versions if isinstance(before, Drift) else ()
        return {day.basis: day for each in versions if each.version == self._version for day in each.days if day.basis}

    def _judge(self, counted: Counted, before: tuple[Counted, DayDrift] | None) -> DayDrift:
        now, sketch = self._comparison(counted), counted.sketch
        alarms = () if before is None else tuple(drift.name for drift in alarming(self._differed(*before), now))
        surest = sorted(now.columns, key=lambda drift: (drift.name not in alarms, drift.adjusted, -drift.psi))
        return DayDrift(
            counted.day,
            counted.rows,
            counted.elsewhere,
            now.level,
            len(now.differing()),
            alarms,
            tuple(map(_shown, surest[:MOST_COLUMNS])),
            keyed=sketch.keyed,
            repeated=sketch.repeated,
            processes=len(self._scope.windows(self._version)[counted.day].parts),
            basis=counted.basis,
            after="" if before is None else before[1].basis,
        )

    def _differed(self, counted: Counted, day: DayDrift) -> Sequence[ColumnDrift]:
        """The columns that differed on a day: those that are told first of it, unless there were too many to tell."""
        if day.differing <= len(day.columns):
            return day.columns[: day.differing]
        return self._comparison(counted).differing()

    def _comparison(self, counted: Counted) -> Comparison:
        if counted.day not in self._made:
            self._made[counted.day] = compare(counted.sketch, budget=self._scope.budget(counted.day))
        return self._made[counted.day]


def _compare_slices(baseline: Baseline, counted: Sequence[Counted]) -> Iterator[SliceDrift]:
    newest: dict[str, tuple[str, Sketch]] = {}
    for each in reversed(counted if baseline.slices else ()):
        for value, sketch in each.sketch.slices.items():
            if sketch.rows:
                newest.setdefault(f"{baseline.sliced_by}={value}", (each.day, sketch))
        if len(newest) == len(baseline.slices):
            break
    for name, (day, sketch) in sorted(newest.items()):
        found = compare(sketch)
        surest = min(found.columns, key=lambda drift: (drift.adjusted, -drift.psi), default=None)
        differing = tuple(drift.name for drift in found.differing())
        yield SliceDrift(name, day, sketch.rows, differing, None if surest is None else _shown(surest))


def _shown(drift: ColumnDrift) -> ColumnDrift:
    return msgspec.structs.replace(drift, missing=show_count(drift.missing or 0))


def _shapes(counted: Sequence[Counted], days: Sequence[DayDrift]) -> Iterator[Shape]:
    """Those of the columns that the newest day with rows shows first."""
    with_rows = [pair for pair in zip(counted, days, strict=True) if pair[1].rows]
    if not with_rows:
        return
    sketch, day = with_rows[-1][0].sketch, with_rows[-1][1]
    for drift in day.columns[:MOST_DRAWN]:
        column, counts = next(pair for pair in sketch.columns(drift.side) if pair[0].name == drift.name)
        cells = show_cells(column, counts[:-1])
        if cells.names:
            yield Shape(
                drift.side, drift.name, cells.names, tuple(cells.baseline.tolist()), tuple(cells.window.tolist())
            )


def _say(day: DayDrift, name: str) -> str:
    told = f"{name} has drifted in {day.rows} rows of {day.day}"
    column = next((column for column in day.columns if column.name == name), None)
    return told if column is None else f"{told}: PSI {column.psi:.2f}, p {column.adjusted:.1g}"


def _show_version(version: VersionDrift) -> list[Block]:
    if version.baseline is None:
        return [Facts(((f"version {version.version}", "no baseline: `onnxlet baseline` gives it one"),))]
    if not version.days:
        return [Facts(((f"version {version.version}", "no sketches yet: live rows are counted from twenty on"),))]
    rows = [
        (day.day, day.rows, day.elsewhere or None, day.differing if day.rows else None, ", ".join(day.alarms))
        for day in version.days
    ]
    newest = next((day for day in reversed(version.days) if day.rows), version.days[-1])
    return [
        Facts(
            (
                ("version", version.version),
                ("compared with", f"baseline {version.baseline}"),
                ("false alarms", _say_rate(newest)),
            )
        ),
        Table(("day", "rows", "of another baseline", "columns that differ", "alarms"), rows),
        Table(
            (f"column on {newest.day}", "side", "test", "p (Holm)", "PSI", "KS", "JS", "Wasserstein/sd", "missing"),
            [_describe(drift) for drift in newest.columns[:MOST_SHOWN]],
        ),
        *([_table_slices(version.slices)] if version.slices else []),
        _draw_days(version),
        *(_draw_shape(version, shape) for shape in version.shapes),
    ]


def _say_rate(day: DayDrift) -> str:
    """Whether the rate of false alarms, of all versions and of data quality too, is the nominal one, if known."""
    nominal = f"{BUDGET:.0%} of months"
    if not day.keyed:
        return f"{nominal} where rows are independent; rows that share a routing key would count once"
    left = f"{day.repeated} rows left out"
    if day.keyed < day.rows:
        return f"{nominal} where the {day.rows - day.keyed} rows without a routing key are independent; {left}"
    if day.processes > 1:
        return f"above {nominal} where keys came to several of the {day.processes} processes, each counting one; {left}"
    return f"{nominal}: one row of each routing key counts, {left}"


def _table_slices(slices: Sequence[SliceDrift]) -> Table:
    rows = [
        (
            each.slice,
            each.day,
            each.rows,
            len(each.differing),
            "" if each.surest is None else each.surest.name,
            "" if each.surest is None else f"{each.surest.adjusted:.2g}",
            "" if each.surest is None else f"{each.surest.psi:.3f}",
        )
        for each in slices
    ]
    return Table(("slice", "newest day", "rows", "columns that differ", "surest", "p (Holm)", "PSI"), rows)


def _describe(drift: ColumnDrift) -> tuple[object, ...]:
    return (
        drift.name,
        drift.side,
        drift.test,
        f"{drift.adjusted:.2g}",
        f"{drift.psi:.3f}",
        f"{drift.ks:.3f}",
        f"{drift.js:.3f}",
        "" if drift.wasserstein is None else f"{drift.wasserstein:.3f}",
        "<5" if drift.missing is None else drift.missing or None,
    )


def _draw_days(version: VersionDrift) -> Lines:
    days = [day for day in version.days if day.rows]
    drawn = [(drift.side, drift.name) for drift in (days[-1].columns[:MOST_DRAWN] if days else ())]
    psi = [{(drift.side, drift.name): drift.psi for drift in day.columns} for day in days]
    return Lines(
        f"PSI of version {version.version} by day",
        [day.day for day in days],
        {name: [values.get((side, name)) for values in psi] for side, name in drawn},
        floor=STABILITY_FLOOR,
    )


def _draw_shape(version: VersionDrift, shape: Shape) -> Bars:
    return Bars(
        f"{shape.name} of version {version.version}: shares by bin",
        shape.bins,
        {"baseline": shape.baseline, "newest day": shape.window},
    )


SECTION = Section("drift", "Drift", Drift, read_drift, show_drift, find_drift, measure_drift)
