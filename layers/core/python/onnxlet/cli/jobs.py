"""Commands of batch jobs on AWS: asked for, listed, followed, cancelled, repeated, fetched."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxlet.cli.explain_options import explain_options, read_explain
from onnxlet.cli.options import RefType, json_option, keep_option, max_bad_option
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.workspace import Workspace

if TYPE_CHECKING:
    from onnxlet.jobs.jobs import Job, Status
    from onnxlet.jobs.state_machine import StateMachine
    from onnxlet.settings import Settings
    from onnxlet.store import Store
    from onnxlet.values.refs import Ref

ENDED = frozenset({"scored", "failed", "cancelled"})
POLL_SECONDS = 2.0


@click.group(short_help="Score files on AWS.")
def jobs() -> None:
    """Score files on AWS, where the store is: a job is one scoring of a file.

    Small files are scored by one function, large ones in sections by a state machine.
    """


@jobs.command(short_help="Ask for a scoring.")
@click.argument("file")
@click.option("--model", "ref", type=RefType(), required=True, metavar="REF", help="The version that scores it.")
@click.option("--to", "target", metavar="URL", default="", help="Of a file in S3: where its output goes, s3://….")
@keep_option
@max_bad_option
@click.option("--dry-run", is_flag=True, help="Only say what it would take: sections, time, cost.")
@click.option("--wait", is_flag=True, help="Follow it to its end; exit code 1 if it is not scored.")
@explain_options
@json_option
@pass_workspace
def create(
    workspace: Workspace,
    /,
    *,
    file: str,
    ref: Ref,
    target: str,
    keep: tuple[str, ...] | None,
    max_bad: float,
    dry_run: bool,
    wait: bool,
    output: Output,
    **explained: Any,  # noqa: ANN401 - options of explanations
) -> None:
    """Have FILE scored: one of this machine, which is uploaded, or s3://bucket/path where it lies.

    What lies elsewhere than in the store must be granted by the stack's parameter BatchArns, and is scored by the state
    machine that ONNXLET_STATE_MACHINE names; its rows are explained too where an option says so.

    \b
    Example:
      onnxlet jobs create patients.csv --model diagnosis --dry-run
      onnxlet jobs create patients.csv --model diagnosis --explain --dry-run
      onnxlet jobs create patients.csv --model diagnosis --keep patient --max-bad 0.01
    """
    from onnxlet.jobs import jobs as use
    from onnxlet.jobs.orders import Order
    from onnxlet.registry.reading.lookup import resolve
    from onnxlet.store import open_store

    settings, asked = workspace.read_settings(), read_explain(explained)
    if file.startswith("s3://"):
        url, key = use.split_location(file)
        to, name = use.split_location(target) if target else ("", "")
        order = Order(ref=str(ref), key=key, name=name, input=url, output=to, keep=keep, max_bad=max_bad, explain=asked)
        size = open_store(url).head(key).size
    else:
        if target:
            raise InvalidInputError("what is made of an upload lies in the store: --to is for files in S3")
        order = Order(ref=str(ref), key=Path(file).name, name="", keep=keep, max_bad=max_bad, explain=asked)
        size = _size(Path(file))
    if dry_run:
        resolve(workspace.open_store(), ref)
        _show_estimate(size, settings, output, None if asked is None else _cost(workspace, ref, asked))
        return
    store = workspace.open_store()
    granted = [order.input, order.output]  # whoever runs the command has rights of their own
    job = use.create(store, order, by=workspace.who, machine=_machine(settings), granted=[it for it in granted if it])
    if not order.input:
        with output.working(f"uploading {file}"):
            store.put(job.order.key, Path(file))
    _show(store, job, settings, output, wait=wait)


@jobs.command("list", short_help="List the newest jobs.")
@json_option
@pass_workspace
def list_(workspace: Workspace, output: Output) -> None:
    """List the newest jobs, and how they stand.

    \b
    Example:
      onnxlet jobs list --json
    """
    from onnxlet.jobs.jobs import listed

    found = listed(workspace.open_store())
    output.show(found, "\n".join(map(_line, found)) or "no jobs")


@jobs.command(short_help="Show how a job stands.")
@click.argument("job")
@click.option("--wait", is_flag=True, help="Follow it to its end; exit code 1 if it is not scored.")
@json_option
@pass_workspace
def show(workspace: Workspace, job: str, wait: bool, output: Output) -> None:
    """Show how JOB stands: of a large file how many sections are done, and how fast.

    \b
    Example:
      onnxlet jobs show 20261129T190000-0123abcd --wait
    """
    from onnxlet.jobs.jobs import read

    store = workspace.open_store()
    _show(store, read(store, job), workspace.read_settings(), output, wait=wait)


@jobs.command(short_help="End a job.")
@click.argument("job")
@json_option
@pass_workspace
def cancel(workspace: Workspace, job: str, output: Output) -> None:
    """End JOB: an upload is removed, an execution stopped. What one process has begun it finishes.

    \b
    Example:
      onnxlet jobs cancel 20261129T190000-0123abcd
    """
    from onnxlet.jobs import jobs as use

    store = workspace.open_store()
    machine = _machine(workspace.read_settings())
    ended = use.cancel(store, use.read(store, job), machine, workspace.who)
    output.show(ended, _line(ended))


@jobs.command(short_help="Score a job's bad rows again.")
@click.argument("job")
@json_option
@pass_workspace
def retry(workspace: Workspace, job: str, output: Output) -> None:
    """Make another job of the rows of JOB that were bad, under the same heading.

    Its file must be lines, and still be the one that was scored.

    \b
    Example:
      onnxlet jobs retry 20261129T190000-0123abcd
    """
    from onnxlet.jobs import jobs as use

    store = workspace.open_store()
    again = use.retry(store, use.read(store, job), workspace.who)
    _show(store, again, workspace.read_settings(), output, wait=False)


@jobs.command(short_help="Get URLs of a job's files.")
@click.argument("job")
@json_option
@pass_workspace
def results(workspace: Workspace, job: str, output: Output) -> None:
    """Get URLs of the output, the errors and the book of JOB, which anybody can open for an hour.

    \b
    Example:
      onnxlet jobs results 20261129T190000-0123abcd
    """
    from onnxlet.jobs import jobs as use

    store = workspace.open_store()
    files = {key: use.presign(url, key, "get_object") for url, key in use.outputs(store, use.read(store, job))}
    output.show(files, "\n".join(files.values()))


def _show(store: Store, job: Job, settings: Settings, output: Output, *, wait: bool) -> None:
    from onnxlet.jobs.jobs import status

    machine = _machine(settings)
    standing = status(store, job, machine)
    if wait and standing.state not in ENDED:
        with output.progress(f"scoring {job.order.key}", "sections") as advance:
            while standing.state not in ENDED:
                time.sleep(POLL_SECONDS)
                standing = status(store, job, machine)
                if standing.sections:
                    advance(standing.done or 0, standing.sections)
    output.show(standing, _line(standing))
    if wait and standing.state != "scored":
        click.get_current_context().exit(1)


def _line(standing: Status) -> str:
    """How a job stands in a line."""
    parts = [standing.id, standing.state, standing.ref, standing.output]
    if standing.sections is not None:
        parts.insert(2, f"{standing.done or 0} of {standing.sections} sections, {standing.rate or 0:g} a second")
    if standing.rows is not None:
        parts.insert(2, f"{standing.rows['scored']:,} rows, {standing.rows['errors']:,} bad")
    return "  ".join([*parts, *([standing.failure] if standing.failure else [])])


def _cost(workspace: Workspace, ref: Ref, asked: dict[str, Any]) -> int:
    """Rows that the version is asked about for each that is explained. Raises NotExplainableError."""
    from onnxlet.explain.request import read_request

    return workspace.make_predictor().load(ref).model.plan_explanations(read_request(asked)).cost


def _show_estimate(size: int, settings: Settings, output: Output, evaluations: int | None) -> None:
    from onnxlet.jobs.estimates import estimate

    taken = estimate(size, settings.section_concurrency)
    counted = "1 section" if taken.sections == 1 else f"{taken.sections:,} sections"
    words = (
        f"{counted} of {taken.section_mib} MiB, {settings.section_concurrency} at once: about "
        f"{taken.seconds:,.0f} seconds and {taken.usd:.2f} USD, for a table of numbers and a small model"
    )
    document = {"bytes": size, **taken._asdict()}
    if evaluations is not None:
        words += f"; besides, explanations ask it about {evaluations:,} rows for each of the file"
        document["evaluations_per_row"] = evaluations
    output.show(document, words)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InvalidInputError(f"the file {str(path)!r} cannot be read: {error.strerror}") from error


def _machine(settings: Settings) -> StateMachine | None:
    from onnxlet.jobs.state_machine import StateMachine

    return StateMachine(settings.state_machine) if settings.state_machine else None
