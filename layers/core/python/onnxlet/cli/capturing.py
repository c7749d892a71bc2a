"""Commands about captured rows: label, and below capture list, show and erase."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import MODEL, json_option, model_argument
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.errors import UnavailableError
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.plain_text import escape

if TYPE_CHECKING:
    from datetime import datetime

MOST_NAMED = 5
"""Objects that an error names."""


@click.command(short_help="Join what turned out to be true with captured rows.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", type=MODEL, metavar="NAME", help="The model. Default: whichever captured the requests.")
@json_option
@pass_workspace
def label(workspace: Workspace, file: Path, model: str | None, output: Output) -> None:
    """Join the labels in FILE, CSV or JSON Lines, with captured rows, for `onnxlet watch` to tell accuracy.

    FILE has `request_id`, the X-Onnxlet-Request-Id of an answer, `label`, and `row`, from 0, for requests of several
    rows. Labels may come late and again: what is known already changes nothing, of two labels of a row the later
    counts. Of a model that tells several things `output` names which one a label is of, label_stage say; without it,
    the first. It takes a capture policy that keeps request_id, version and an output.

    \b
    Example:
      onnxlet label outcomes.csv
      onnxlet label outcomes.csv --model diagnosis --json
    """
    from onnxlet.lifecycle.labelling import describe_labelled, label_rows

    with output.progress("finding rows") as advance:
        labelled = label_rows(workspace, file, model, advance)
    output.show(list(labelled), describe_labelled(labelled).text())
    unknown = sum(each.unknown for each in labelled)
    ambiguous = sum(each.ambiguous for each in labelled)
    foreign = sum(each.foreign for each in labelled)
    if unknown:
        output.say(
            f"note: {unknown} labels are of requests or rows that were not captured; if they still will be, try later"
        )
    if ambiguous:
        output.say(f"note: {ambiguous} labels name no row of a request with several: add a column `row`, from 0")
    if foreign:
        output.say(
            f"note: {foreign} labels are no class of the model, and count as answered wrong: if they are misspelt, "
            "bring them again"
        )


@click.group(short_help="List, show and erase captured rows.")
def capture() -> None:
    """Look at captured rows, and erase those of a patient."""


@capture.command("list", short_help="List what was captured, by version and day.")
@click.argument("name", type=MODEL, required=False)
@json_option
@pass_workspace
def list_(workspace: Workspace, name: str | None, output: Output) -> None:
    """List of which days of which versions rows were captured.

    \b
    Example:
      onnxlet capture list
      onnxlet capture list diagnosis --json
    """
    from onnxlet.lifecycle.captures import describe_days, list_days

    days = list_days(workspace, name or "")
    output.show(days, describe_days(days).text())
    if not days:
        output.say(
            "nothing is captured: that takes a version with a capture policy, `onnxlet publish --capture-policy`, and "
            "requests; rows of files are not captured"
        )


@capture.command("show", short_help="Print captured rows.")
@model_argument
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day, 2026-11-01 say.")
@click.option("--request-id", metavar="ID", help="Only the rows of this request, whose id its policy keeps.")
@click.option("-n", "--rows", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@json_option
@pass_workspace
def show(
    workspace: Workspace, /, *, name: str, since: datetime | None, request_id: str | None, rows: int, output: Output
) -> None:
    """Print captured rows as JSON Lines, as they were written; with --json as one list.

    \b
    Example:
      onnxlet capture show diagnosis
      onnxlet capture show diagnosis --request-id visit-42
    """
    import msgspec

    from onnxlet.lifecycle.captures import read_lines

    first = f"{since:%Y-%m-%d}" if since is not None else ""
    lines = list(islice(read_lines(workspace, name, since=first, request_id=request_id), rows))
    output.show([msgspec.Raw(line) for line in lines], "\n".join(escape(line.decode()) for line in lines))


@capture.command("erase", short_help="Erase the rows of some requests.")
@click.option(
    "--request-id",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Request ids, one a line; of a .csv file the column request_id.",
)
@click.option("--dry-run", is_flag=True, help="Only count what would be erased.")
@json_option
@pass_workspace
def erase(workspace: Workspace, file: Path, dry_run: bool, output: Output) -> None:
    """Erase captured rows and labels of the requests in FILE, and record that without their ids.

    In a bucket that keeps versions the old ones go too, for which it takes s3:ListBucketVersions, s3:GetObjectVersion
    and s3:DeleteObjectVersion. What was stopped halfway is started again. Rows whose policy hashes ids are found by the
    key that ONNXLET_CAPTURE_KEY names; those whose policy drops them by nobody, which is told.

    \b
    Example:
      onnxlet capture erase --request-id ids.txt --dry-run
      onnxlet capture erase --request-id ids.txt
    """
    from onnxlet.lifecycle.erasing import describe_erasure, erase_requests, read_ids

    with output.progress("erasing") as advance:
        erasure = erase_requests(workspace, read_ids(file), dry_run=dry_run, on_progress=advance)
    output.show(erasure, describe_erasure(erasure).text())
    if dry_run:
        output.say("nothing was erased: this was a dry run")
    if erasure.untraceable:
        output.say(f"note: {erasure.untraceable} rows have no id, by their policies: whose they are nobody can tell")
    if erasure.refused:
        raise UnavailableError(
            f"{len(erasure.refused)} objects still may hold their rows: {'; '.join(erasure.refused[:MOST_NAMED])}"
        )


@capture.command("expire", short_help="Remove rows that policies keep no longer.")
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
@json_option
@pass_workspace
def expire(workspace: Workspace, dry_run: bool, output: Output) -> None:
    """Remove captured rows, and labels, that are older than the retention_days of their policies; print the keys.

    On AWS the bucket's lifecycle removes them too, after the stack's CaptureDays.

    \b
    Example:
      onnxlet capture expire --dry-run
    """
    from onnxlet.monitor.capture.retention import expire as remove
    from onnxlet.values.timestamps import utc_now

    with output.working("looking through what was captured"):
        keys = remove(workspace.open_store(), utc_now(), dry_run=dry_run)
    output.show({"removed": keys, "dry_run": dry_run}, "\n".join(keys))
    output.say(f"{'would remove' if dry_run else 'removed'} {len(keys)} objects")
