"""Watching: how live rows differ from those that a version was made for, day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.capture.reading import captured_versions
from onnxlet.monitor.report.document import Report, read_report
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import list_versions
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
    baseline = count_rows(
        columns, steps, lambda part: served.model.predict(part, steps.row_signature), served.model.policy
    )
    give_baseline(workspace.open_store(), ref.model, served.version, baseline)
    return Ref(ref.model, version=served.version), baseline
