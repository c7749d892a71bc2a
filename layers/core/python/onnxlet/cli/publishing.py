"""Commands that bring versions into the store and take them out."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import DurationType, json_option, model_argument, policy_option, version_argument
from onnxlet.cli.output import Output
from onnxlet.cli.publish_attempt import PublishAttempt
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace

if TYPE_CHECKING:
    from onnxlet.values.refs import Ref


@click.command(short_help="Publish a model as a new version.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@model_argument
@click.option("--force", is_flag=True, help="Even if the graph runs on none of the inputs that are tried.")
@policy_option
@json_option
@pass_workspace
def publish(
    workspace: Workspace, /, *, path: Path, name: str, force: bool, policy: Path | None, output: Output
) -> None:
    """Publish PATH as the next version of the model NAME, and print NAME:VERSION.

    PATH is an .onnx file or a directory that `onnxlet convert` wrote. The graph is checked, optimized and tried out
    first. Nothing serves the version until an alias is moved to it. What to mind of it, such as golden cases that are
    missing, is said on stderr and stands in its manifest's "notes".

    \b
    Example:
      onnxlet publish diagnosis/ diagnosis
      onnxlet publish diagnosis/ diagnosis --capture-policy policy.json
      onnxlet promote $(onnxlet publish encoder.onnx encoder)
    """
    from onnxlet.lifecycle.options import as_policy
    from onnxlet.toolchain.prepare import prepare

    document = as_policy(policy)

    attempt = PublishAttempt(workspace.open_registry(), name, output)
    with attempt.reporting(lambda: attempt.manifest), tempfile.TemporaryDirectory(prefix="onnxlet-") as workdir:
        with output.working(f"reading {path}") as begin:
            draft, files = prepare(path, Path(workdir), force=force, policy=document, on_progress=begin)
        attempt.publish(draft, files)


@click.command()
@version_argument
@click.option("--force", is_flag=True, help="Even if aliases route to it: they go back to where they were before.")
@json_option
@pass_workspace
def delete(workspace: Workspace, ref: Ref, force: bool, output: Output) -> None:
    """Delete a version that nothing serves. Its number is never used again.

    \b
    Example:
      onnxlet delete diagnosis:3
    """
    assert ref.version is not None  # noqa: S101 - the argument's type refuses others
    workspace.open_registry().delete(ref.model, ref.version, force=force, days=workspace.read_settings().servable_days)
    output.show({"deleted": str(ref)}, "")
    output.say(f"deleted {ref}")


@click.command(short_help="Remove what unfinished publishes left.")
@click.option("--older-than", type=DurationType(), default="1d", show_default=True, help="Leave alone what is younger.")
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
@json_option
@pass_workspace
def gc(workspace: Workspace, older_than: timedelta, dry_run: bool, output: Output) -> None:
    """Remove what unfinished publishes and deleted versions left in the store, and print the keys.

    \b
    Example:
      onnxlet gc --older-than 12h --dry-run
    """
    with output.working("looking through the store"):
        keys = workspace.open_registry().gc(older_than=older_than, dry_run=dry_run)
    output.show({"removed": keys, "dry_run": dry_run}, "\n".join(keys))
    output.say(f"{'would remove' if dry_run else 'removed'} {len(keys)} objects")
