"""Commands that watch models in production: watch, baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import json_option, ref_argument
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.tables import format_blocks

if TYPE_CHECKING:
    from datetime import datetime

    from onnxlet.values.refs import Ref


@click.command(short_help="Tell how live rows differ from those of the baseline.")
@ref_argument
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day, 2026-11-01 say.")
@json_option
@pass_workspace
def watch(workspace: Workspace, ref: Ref, since: datetime | None, output: Output) -> None:
    """Compare what a model was asked in production, day by day, with the rows that it was made for.

    Of a bare name all versions are told that live rows were counted for. A column alarms when it differs on two days in
    a row, those without rows left out, by more than chance and by more than a trifle; docs/monitoring.md says how.

    \b
    Example:
      onnxlet watch diagnosis
      onnxlet watch diagnosis:3 --since 2026-11-01 --json
    """
    import msgspec

    from onnxlet.lifecycle.watching import watch_model

    report = watch_model(workspace, ref, since="" if since is None else since.strftime("%Y-%m-%d"))
    told = "\n\n".join(f"{title}\n\n{format_blocks(blocks)}" for title, blocks in report.parts())
    output.show(msgspec.to_builtins(report), told)
    for finding in report.findings:
        output.say(f"alarm: {report.model}:{finding.version} {finding.says}")


@click.command(short_help="Give a published version a baseline.")
@ref_argument
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Rows like those that the model was made for, as a CSV file.",
)
@json_option
@pass_workspace
def baseline(workspace: Workspace, ref: Ref, data: Path, output: Output) -> None:
    """Count the rows of a file, and the version's answers to them, as what live rows are compared with.

    Versions that were converted with --data have a baseline already; this one takes its place. The version itself
    stays as it is. What is kept are counts of ten rows or more.

    \b
    Example:
      onnxlet baseline diagnosis:3 --data held-out.csv
    """
    from onnxlet.lifecycle.watching import draw_version_baseline

    version, drawn = draw_version_baseline(workspace, ref, data)
    document = {"version": str(version), "baseline": drawn.pinned(), "rows": drawn.rows}
    output.show(document, f"{version} is compared with {drawn.rows} rows of {data.name} from now on")
