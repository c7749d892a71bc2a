"""The command itself: which commands there are below it, and which store they work on."""

from __future__ import annotations

import click

from onnxlet.cli import (
    export,
    fit,
    fsck,
    listing,
    moving,
    publishing,
    require,
    scoring,
    serving,
    ship,
    toolchain,
    verify,
)
from onnxlet.cli.command_group import CommandGroup
from onnxlet.cli.demo import commands as demo
from onnxlet.lifecycle.workspace import Workspace, resolve_url
from onnxlet.version import __version__


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--store",
    envvar="ONNXLET_STORE",
    metavar="URL",
    help="Where models lie: s3://bucket/prefix, file:///directory or a path. "
    "Default: ONNXLET_STORE, else a directory in your own data folder.",
)
@click.version_option(__version__, prog_name="onnxlet")
@click.pass_context
def cli(ctx: click.Context, store: str | None) -> None:
    """Turn a trained model into a prediction service.

    \b
    Example:
      onnxlet ship model.joblib diagnosis --trust --data held-out.csv --target diagnosis
      onnxlet promote diagnosis:1
      onnxlet serve
    """
    ctx.obj = Workspace(resolve_url(store))


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
    listing.list_,
    listing.show,
    listing.compare,
    export.export,
    publishing.delete,
    publishing.gc,
    fsck.fsck,
    scoring.predict,
    scoring.score,
    serving.serve,
    serving.invoke,
    demo.demo,
    demo.demo_models,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli.watch_interrupts()
    cli()
