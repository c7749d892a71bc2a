"""The commands `onnxlet demo` and `onnxlet demo-models`."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from contextlib import chdir
from pathlib import Path

import click

from onnxlet.cli.demo.local_server import LocalServer
from onnxlet.cli.demo.story import Story
from onnxlet.cli.options import json_option
from onnxlet.cli.output import Output
from onnxlet.version import __version__

ALIAS_TTL = 1.0
"""Seconds that the demo's server keeps an alias: short, for an impatient audience."""


@click.command("demo-models", hidden=True)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@json_option
def demo_models(directory: Path, output: Output) -> None:
    """Train the demo's models and write them, with their held-out rows, into DIRECTORY."""
    from onnxlet.cli.demo.training import train_all

    with output.working("training"):
        models = train_all(directory)
    document = {
        name: {"model": str(trained.model), "held_out": str(trained.held_out), "target": trained.target}
        for name, trained in models.items()
    }
    output.show(document, "\n".join(str(trained.model) for trained in models.values()))


@click.command(hidden=True)
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), default=".demo", show_default=True)
@click.option("--keep", is_flag=True, help="Leave the server running until Ctrl-C.")
def demo(directory: Path, keep: bool) -> None:
    """Show a model's life, from training to rollback, in DIRECTORY, which is emptied first."""
    # ended by a signal, the demo ends its server as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started = time.perf_counter()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    click.echo(f"onnxlet {__version__}: the life of a model, from training to rollback\n")
    click.echo(f"$ cd {directory}; export ONNXLET_STORE=store")
    with chdir(directory):
        story = Story()
        story.train()
        story.convert_and_publish()
        with LocalServer(story.commands.store, Path("server.log"), alias_ttl=ALIAS_TTL) as server:
            story.ask(server)
            story.score()
            story.replace_and_roll_back(server)
            click.echo(f"\nAll of it is in {directory}/. Done in {time.perf_counter() - started:.0f} s.")
            if keep:
                story.leave_running(server)
            else:
                click.echo("`make demo KEEP=1` leaves the server running for you to try.")
