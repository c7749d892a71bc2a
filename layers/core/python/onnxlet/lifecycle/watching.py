"""Watching: how live rows differ from those that a version was made for, day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.tables import Block, Facts, Table
from onnxlet.monitor.comparison import ColumnDrift
from onnxlet.monitor.report import VersionReport, watch_version
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import list_versions
from onnxlet.values.refs import Ref

if TYPE_CHECKING:
    from onnxlet.lifecycle.workspace import Workspace
    from onnxlet.monitor.baseline import Baseline

SHOWN = 10
"""Columns that are listed, those first that differ most surely."""


class WatchReport:
    """What became of the rows of a model's versions; a notebook shows it as tables."""

    def __init__(self, versions: tuple[VersionReport, ...]) -> None:
        self.versions = versions

    @property
    def alarms(self) -> list[str]:
        """Columns that alarm on the newest day of a version: `diagnosis:3 age`."""
        return [
            f"{report.model}:{report.version} {name}"
            for report in self.versions
            for name in (report.days[-1].alarms if report.days else ())
        ]

    def blocks(self) -> list[Block]:
        """Tables: the days of each version, and the columns of its newest day."""
        return [block for report in self.versions for block in _describe(report)]

    def __repr__(self) -> str:
        return f"<onnxlet watch: {len(self.versions)} versions, {len(self.alarms)} alarms>"

    def _repr_html_(self) -> str:
        return "".join(block.html() for block in self.blocks())


def watch_model(workspace: Workspace, ref: Ref, *, since: str = "") -> WatchReport:
    """Compare the days of a version, or of all versions that were sketched, with their baselines.

    Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError, IntegrityError.
    """
    registry = workspace.open_registry()
    with workspace.naming_others():
        manifest, _ = registry.resolve(ref)
    named = ref.version is not None or ref.alias is not None
    sketched = [] if named else list_versions(registry.store, ref.model)
    versions = sorted({*sketched, manifest.version})
    return WatchReport(tuple(watch_version(registry.store, ref.model, each, since=since) for each in versions))


def draw_version_baseline(workspace: Workspace, ref: Ref, data: Any) -> tuple[Ref, Baseline]:
    """Give a published version a baseline of rows: a CSV file, a DataFrame. The version itself stays as it is.

    Raises InvalidInputError for rows that are not the model's, or a model that takes no named columns.
    """
    from onnxlet.toolchain.workbench.baseline import count_rows
    from onnxlet.toolchain.workbench.data import open_data
    from onnxlet.toolchain.workbench.table import Table as DataTable

    with workspace.naming_others():
        served = workspace.make_predictor().load(ref)
    steps = served.model.steps
    if steps.columns is None:
        raise InvalidInputError(
            f"{ref.model}:{served.version} takes no named columns: `onnxlet convert --data` draws its baseline"
        )
    table, _ = open_data(data, None, [column.name for column in steps.columns])
    if not isinstance(table, DataTable):
        raise InvalidInputError("a baseline is drawn of named columns, in a CSV file or a DataFrame: arrays have none")
    columns = {column.name: table.tensor(column.name, column.datatype) for column in steps.columns}
    baseline = count_rows(columns, steps, lambda part: served.model.predict(part, steps.row_signature))
    give_baseline(workspace.open_store(), ref.model, served.version, baseline)
    return Ref(ref.model, version=served.version), baseline


def _describe(report: VersionReport) -> list[Block]:
    name = f"{report.model}:{report.version}"
    if report.baseline is None:
        return [Facts(((name, f"no baseline: `onnxlet baseline {name} --data FILE` gives it one"),))]
    if not report.days:
        return [Facts(((name, "no sketches yet: live rows are counted from twenty on"),))]
    days = [
        (day.day, day.rows, day.elsewhere or None, _count_drifts(day.columns, report.level), ", ".join(day.alarms))
        for day in report.days
    ]
    newest = sorted(report.days[-1].columns, key=lambda drift: (drift.adjusted, -drift.psi))[:SHOWN]
    return [
        Facts((("version", name), ("compared with", f"baseline {report.baseline}"))),
        Table(("day", "rows", "of another baseline", "columns that differ", "alarms"), days),
        Table(
            (f"column on {report.days[-1].day}", "side", "test", "p (Holm)", "PSI", "KS", "Wasserstein/sd", "missing"),
            [
                (
                    drift.name,
                    drift.side,
                    drift.test,
                    f"{drift.adjusted:.2g}",
                    f"{drift.psi:.3f}",
                    f"{drift.ks:.3f}",
                    "" if drift.wasserstein is None else f"{drift.wasserstein:.3f}",
                    drift.missing or None,
                )
                for drift in newest
            ],
        ),
    ]


def _count_drifts(columns: tuple[ColumnDrift, ...], level: float) -> int:
    return sum(drift.significant(level) for drift in columns)
