"""Watching: how live rows differ from those that a version was made for, day by day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.alarms.book import Alarm, AlarmBook
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.capture.reading import captured_versions
from onnxlet.monitor.report.alarms import SECTION, Alarms
from onnxlet.monitor.report.document import Report, read_report
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.report.section import Finding
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.watch.run import Watch, WatchRun
from onnxlet.monitor.windows import list_versions
from onnxlet.values.canonical import canonical
from onnxlet.values.refs import Ref
from onnxlet.values.timestamps import utc_now

if TYPE_CHECKING:
    from onnxlet.lifecycle.workspace import Workspace
    from onnxlet.monitor.baseline import Baseline


def watch_model(workspace: Workspace, ref: Ref, *, since: str = "") -> Report:
    """What became of the rows of a version, or of all that were sketched or captured, from `since` (`2026-11-01`) on.

    Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError, IntegrityError.
    """
    registry = workspace.open_registry()
    with workspace.naming_others():
        manifest, _ = registry.resolve(ref)
    named = ref.version is not None or ref.alias is not None
    seen = [] if named else [*list_versions(registry.store, ref.model), *captured_versions(registry.store, ref.model)]
    versions = sorted({*seen, manifest.version})
    return read_report(Scope(registry.store, ref.model, versions, since=since), written=utc_now())


def run_watch(workspace: Workspace, tell: Callable[[str], None]) -> WatchRun:
    """Do once what the function Watch does; `tell` takes each event, as a line of JSON.

    Raises StoreUnavailableError if the store does not answer.
    """

    class Teller:
        def announce(self, events: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
            for event in events:
                tell(canonical(event).decode())
            return ()

    return Watch(workspace.open_store(), announcer=Teller()).run()


def describe_findings(report: Report, today: str) -> list[str]:
    """A line for each finding: an alarm, or one that somebody has acknowledged or muted."""
    told = report.sections.get(SECTION.name)
    book = AlarmBook(told.alarms, told.mutes) if isinstance(told, Alarms) else AlarmBook()
    known = {alarm.key: alarm for alarm in book.alarms}
    return [
        _describe(report.model, finding, known.get((finding.kind, finding.version, finding.about)), book, today)
        for finding in report.findings
    ]


def _describe(model: str, finding: Finding, alarm: Alarm | None, book: AlarmBook, today: str) -> str:
    said = f"{model}:{finding.version} {finding.says}"
    mute = next((mute for mute in book.mutes if mute.covers(finding.about, today)), None)
    if mute is not None:
        return f"muted: {said} ({mute.note.who}: {mute.note.why})"
    if alarm is None:
        return f"alarm: {said}"
    if alarm.acknowledged is not None:
        return f"acknowledged: {said} ({alarm.acknowledged.who}: {alarm.acknowledged.why})"
    return f"alarm: {said} (open since {alarm.opened[:10]})"


def draw_version_baseline(workspace: Workspace, ref: Ref, data: Any, *, sliced_by: str = "") -> tuple[Ref, Baseline]:
    """Give a published version a baseline of rows: a CSV file, a DataFrame. The version itself stays as it is.

    Rows are also compared by the values of the column `sliced_by`. Raises InvalidInputError for rows that are not the
    model's, a model that takes no named columns, or a column that makes no slices.
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
    baseline = count_rows(
        columns,
        steps,
        lambda part: served.model.predict(part, steps.row_signature),
        served.model.policy,
        sliced_by=sliced_by,
    )
    give_baseline(workspace.open_store(), ref.model, served.version, baseline)
    return Ref(ref.model, version=served.version), baseline
