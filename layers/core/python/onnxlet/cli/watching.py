"""Commands that watch models in production: watch, baseline."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import json_option, model_argument, ref_argument
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.values.plain_text import escape
from onnxlet.values.tables import format_blocks

if TYPE_CHECKING:
    from datetime import datetime

    from onnxlet.monitor.alarms.book import AlarmBook
    from onnxlet.values.refs import Ref


class _ShowFirst(click.Group):
    """A group that shows a model where no command is named: `onnxlet watch diagnosis`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command before a model's name, or before its options."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [show.name or "", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ShowFirst, short_help="Tell what became of a model in production, and say what you think of it.")
def watch() -> None:
    """Tell how live rows differ from those that a model was made for, whether they are sound, and who asks no more.

    A model's name alone is short for `onnxlet watch show`. A column alarms when it differs on two days in a row, those
    without rows left out, by more than chance and by more than a trifle; docs/monitoring.md says how.

    \b
    Example:
      onnxlet watch diagnosis
      onnxlet watch diagnosis:3 --since 2026-11-01 --json
      onnxlet watch diagnosis --no-open
      onnxlet watch acknowledge diagnosis age --why "a new clinic, older patients"
      onnxlet watch mute diagnosis age --until 2026-12-31 --why "moving house"
    """


@watch.command(short_help="Tell what became of a model: `onnxlet watch NAME` in short.")
@ref_argument
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day, 2026-11-01 say.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as a page, with plots, too."
)
@click.option(
    "--open/--no-open",
    "opens",
    default=None,
    help="Write the page, and show it in the browser. Default: in a terminal with a browser, but for --html, --json.",
)
@json_option
@pass_workspace
def show(
    workspace: Workspace, /, *, ref: Ref, since: datetime | None, html: Path | None, opens: bool | None, output: Output
) -> None:
    """Compare what a model was asked in production, day by day, with the rows that it was made for.

    Of a bare name all versions are told that live rows were counted for. In a terminal the report is shown as a page in
    the browser too; a script gets it on standard output alone.

    \b
    Example:
      onnxlet watch show diagnosis@candidate --html candidate.html
    """
    import msgspec

    from onnxlet.lifecycle.watching import describe_findings, watch_model
    from onnxlet.values.timestamps import day_of, utc_now

    report = watch_model(workspace, ref, since="" if since is None else since.strftime("%Y-%m-%d"))
    told = "\n\n".join(f"{title}\n\n{format_blocks(blocks)}" for title, blocks in report.parts())
    output.show(msgspec.to_builtins(report), told)
    for line in describe_findings(report, day_of(utc_now())):
        output.say(escape(line))
    if opens is None:
        opens = html is None and not output.as_json and sys.stdout.isatty() and _has_browser()
    if html is not None or opens:
        path = html or _page_path(report.model)
        path.write_text(report.page())
        output.say(f"the page is {path}")
        if opens and sys.stdout.isatty():
            import webbrowser

            webbrowser.open(path.resolve().as_uri())


def _has_browser() -> bool:
    """Whether a page can be shown beside the terminal: a browser of texts would take its place."""
    return sys.platform in ("darwin", "win32") or bool({"BROWSER", "DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def _page_path(model: str) -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="onnxlet-watch-")) / f"{model}.html"


column_argument = click.argument("column", default="")
reason_option = click.option("--why", "--reason", "why", required=True, help="The reason, for the log.")


@watch.command(short_help="Say that somebody knows of an alarm.")
@model_argument
@column_argument
@reason_option
@json_option
@pass_workspace
def acknowledge(workspace: Workspace, /, *, name: str, column: str, why: str, output: Output) -> None:
    """Say that somebody knows of the open alarms about a column, or of all that are open.

    They stay open, are counted by no metric any more, and are over when nothing is found; what comes again is new.

    \b
    Example:
      onnxlet watch acknowledge diagnosis age --why "a new clinic, older patients"
    """
    from onnxlet.lifecycle.muting import acknowledge_alarms

    book = acknowledge_alarms(workspace, name, column or None, why=why)
    _show_entry(book, output)


@watch.command(short_help="Tell nobody of alarms about a column.")
@model_argument
@column_argument
@reason_option
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day of it. Default: for ever.")
@json_option
@pass_workspace
def mute(workspace: Workspace, /, *, name: str, column: str, why: str, until: datetime | None, output: Output) -> None:
    """Tell nobody of alarms about a column, or of any of the model: no event, no metric, no line.

    Alarms open and close all the same; those that are open when the mute ends are told then.

    \b
    Example:
      onnxlet watch mute diagnosis age --until 2026-12-31 --why "the scale is being replaced"
    """
    from onnxlet.lifecycle.muting import mute_alarms

    book = mute_alarms(workspace, name, column, why=why, until="" if until is None else until.strftime("%Y-%m-%d"))
    _show_entry(book, output)


@watch.command(short_help="End a mute.")
@model_argument
@column_argument
@click.option("--why", "--reason", "why", default="", help="The reason, for the log.")
@json_option
@pass_workspace
def unmute(workspace: Workspace, /, *, name: str, column: str, why: str, output: Output) -> None:
    """End the mute of a column, or that of the model.

    \b
    Example:
      onnxlet watch unmute diagnosis age
    """
    from onnxlet.lifecycle.muting import unmute_alarms

    book = unmute_alarms(workspace, name, column, why=why)
    _show_entry(book, output)


@watch.command(short_help="Show what happened to a model's alarms, and who said what of them.")
@model_argument
@json_option
@pass_workspace
def log(workspace: Workspace, name: str, output: Output) -> None:
    """Show which alarms opened and closed, and who acknowledged or muted what, when and why; proves that it is whole.

    \b
    Example:
      onnxlet watch log diagnosis
    """
    from onnxlet.lifecycle.muting import describe_turns, list_turns

    entries = list_turns(workspace, name)
    output.show(list(entries), describe_turns(entries).text())
    if not entries:
        output.say("nothing was ever found")


@watch.command(short_help="Do once what the function Watch does every hour.")
@json_option
@pass_workspace
def run(workspace: Workspace, output: Output) -> None:
    """Merge sketches, write reports into the store, open and close alarms: once, for all models.

    On AWS the function Watch does that. Elsewhere let cron do it: events are printed, one line of JSON each, for
    whatever listens.

    \b
    Example:
      onnxlet watch run
    """
    from onnxlet.lifecycle.watching import run_watch

    done = run_watch(workspace, lambda event: output.announce(event, "event"))
    output.show(done, "" if done.watched else "nothing was counted yet")
    for model, fault in done.failed.items():
        output.say(f"{model} is not watched: {fault}")
    if done.failed:
        raise click.exceptions.Exit(1)


def _show_entry(book: AlarmBook, output: Output) -> None:
    changes = book.entry.changes if book.entry is not None else ()
    lines = (f"{change.what}: {change.about or 'the whole model'} {change.says}".strip() for change in changes)
    output.show(book.entry, "\n".join(map(escape, lines)))


@click.command(short_help="Give a published version a baseline.")
@ref_argument
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Rows like those that the model was made for, as a CSV file.",
)
@click.option(
    "--slice", "sliced_by", default="", metavar="COLUMN", help="Compare rows by its values too, eight at most."
)
@json_option
@pass_workspace
def baseline(workspace: Workspace, ref: Ref, data: Path, sliced_by: str, output: Output) -> None:
    """Count the rows of a file, and the version's answers to them, as what live rows are compared with.

    Versions that were converted with --data have a baseline already; this one takes its place. The version itself
    stays as it is. What is kept are counts of ten rows or more.

    \b
    Example:
      onnxlet baseline diagnosis:3 --data held-out.csv
      onnxlet baseline diagnosis:3 --data held-out.csv --slice sex
    """
    from onnxlet.lifecycle.watching import draw_version_baseline

    version, drawn = draw_version_baseline(workspace, ref, data, sliced_by=sliced_by)
    document = {"version": str(version), "baseline": drawn.pinned, "rows": drawn.rows}
    output.show(document, f"{version} is compared with {drawn.rows} rows of {data.name} from now on")
