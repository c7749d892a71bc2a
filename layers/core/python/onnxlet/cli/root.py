"""The command itself: which commands there are below it, and which store they work on."""

from __future__ import annotations

import click

from onnxlet.cli import (
    alarms,
    capturing,
    dependence,
    explaining,
    export,
    fit,
    fsck,
    jobs,
    listing,
    moving,
    publishing,
    require,
    scoring,
    serving,
    ship,
    tensorboard,
    toolchain,
    twin,
    verify,
    watching,
)
from onnxlet.cli.command_group import CommandError, CommandGroup
from onnxlet.cli.demo import commands as demo
from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.workspace import Workspace, resolve_url
from onnxlet.version import __version__


def _choose_store(ctx: click.Context, _: click.Parameter, url: str | None) -> None:
    """Work on the store that is named last; on the default one before any is."""
    if url is None and ctx.obj is not None:
        return
    try:
        ctx.obj = ctx.find_root().obj = Workspace(resolve_url(url))
    except InvalidInputError as error:
        raise CommandError(error) from error


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--store",
    envvar="ONNXLET_STORE",
    metavar="URL",
    is_eager=True,
    expose_value=False,
    callback=_choose_store,
    help="Where models lie: s3://bucket/prefix, file:///directory or a path. "
    "Default: ONNXLET_STORE, else a directory in your own data folder. Each command takes it too.",
)
@click.version_option(__version__, prog_name="onnxlet")
def cli() -> None:
    """Turn a trained model into a prediction service.

    \b
    Example:
      onnxlet ship model.joblib diagnosis --trust --data held-out.csv --target diagnosis
      onnxlet promote diagnosis:1
      onnxlet serve
    """


for command in (
    ship.ship,
    toolchain.convert,
    toolchain.optimize,
    verify.verify,
    publishing.publish,
    fit.fit,
    moving.promote,
    moving.rollback,
    moving.history,
    require.require,
    jobs.jobs,
    listing.list_,
    listing.show,
    listing.compare,
    export.export,
    publishing.delete,
    publishing.gc,
    fsck.fsck,
    watching.watch,
    watching.baseline,
    capturing.label,
    capturing.capture,
    tensorboard.tensorboard,
    alarms.alarms,
    scoring.predict,
    explaining.explain,
    dependence.dependence,
    scoring.score,
    serving.serve,
    serving.invoke,
    twin.local,
    demo.demo,
    demo.demo_models,
):
    for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
        each.params.append(
            click.Option(["--store"], is_eager=True, expose_value=False, callback=_choose_store, hidden=True)
        )
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli.watch_interrupts()
    cli()
