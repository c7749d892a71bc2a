"""The command that holds a store to its promises: fsck."""

from __future__ import annotations

from datetime import timedelta

import click

from onnxlet.cli.options import DurationType, json_option
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace


@click.command(short_help="Hold the whole store to its promises.")
@click.option(
    "--older-than", type=DurationType(), default="1d", show_default=True, help="What is younger may be under way."
)
@click.option(
    "--quick", is_flag=True, help="Compare sizes and read no artifact: what was changed in place stays unseen."
)
@json_option
@pass_workspace
@click.pass_context
def fsck(ctx: click.Context, workspace: Workspace, older_than: timedelta, quick: bool, output: Output) -> None:
    """Check every version, alias, history and scored file of the store, and print what is wrong and what mends it.

    Nothing is changed. A store may be in use meanwhile. The exit code is 1 if anything is found; docs/fsck.md says
    more of each kind of finding.

    \b
    Example:
      onnxlet fsck
      onnxlet --store s3://models fsck --json
    """
    from onnxlet.lifecycle.fsck import check_store, describe_findings
    from onnxlet.values.tables import format_facts

    with output.progress("checking", "B") as advance:
        check = check_store(workspace.open_store(), older_than=older_than, quick=quick, on_progress=advance)
    document = {"clean": check.clean, "findings": check.findings, "checked": check.checked._asdict()}
    output.show(document, describe_findings(check.findings).text())
    if not check.clean:
        output.say("what mends it:\n" + format_facts({each.kind: each.mend for each in check.findings}.items()))
    output.say(check.summary)
    if not check.clean:
        ctx.exit(1)
