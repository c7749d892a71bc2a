"""Commands of the laptop twin: what runs on AWS, at work on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxlet.cli.options import json_option
from onnxlet.cli.output import Output
from onnxlet.cli.workspace import pass_workspace
from onnxlet.errors import MissingExtraError, UnavailableError
from onnxlet.lifecycle.workspace import Workspace

if TYPE_CHECKING:
    from onnxlet.local.twin.cloud import Cloud
    from onnxlet.local.twin.wiring import Wiring

_SERVER = "from onnxlet.cli import main; main()"


@click.group(short_help="AWS on this machine.")
def local() -> None:
    """AWS on this machine: what template.yaml wires, at work.

    \b
    Example:
      onnxlet local up
    """


@local.command(short_help="Play AWS on this machine.")
@click.option(
    "--port", default=4566, show_default=True, type=click.IntRange(0, 65535), help="Port of AWS; 0 for a free one."
)
@click.option(
    "--http-port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port of the API; 0 likewise."
)
@click.option("--empty", is_flag=True, help="Begin without the models of the store.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    type=(str, str),
    metavar="NAME VALUE",
    help="A parameter of the template: with LargeFileMb 1, files of 1 MiB or more are scored in sections.",
)
@json_option
@pass_workspace
def up(  # noqa: PLR0917 - a command's options
    workspace: Workspace,
    port: int,
    http_port: int,
    empty: bool,
    parameters: tuple[tuple[str, str], ...],
    output: Output,
) -> None:
    """Play AWS on this machine until Ctrl-C: files that land in batch/in/ are scored as they are on AWS.

    S3, SQS, EventBridge and Step Functions' API are played by moto's server, state machines are run by a simulator;
    the functions are those of functions/, called as template.yaml says, in a clone of the repository. Models, aliases
    and history of the store are copied in; all is lost at the end. What fails comes again after 10 seconds at most,
    whatever the template says; messages lie among the dead letters after as many tries as it allows.

    \b
    Example:
      onnxlet local up
      aws --endpoint-url http://127.0.0.1:4566 s3 cp big.csv s3://onnxlet-local/batch/in/diagnosis/
    """
    try:
        from onnxlet.local.twin.running import BUCKET, copy_registry, run_twin
        from onnxlet.local.twin.wiring import read_wiring
    except ImportError as error:
        raise MissingExtraError(f"{error.name} is not installed: pip install 'onnxlet[local]'") from error
    wiring = read_wiring(Path("template.yaml"), BUCKET, dict(parameters))
    logs = Path(tempfile.mkdtemp(prefix="onnxlet-local-"))
    source = None if empty else workspace.open_store()
    with run_twin(wiring, logs, output.say, port=port) as cloud:
        os.environ.update({**cloud.environment, **_ask_for_jobs(wiring)})
        target = Workspace(cloud.store).open_store()
        if source is not None:
            with output.progress("copying models", "B") as advance:
                copy_registry(source, target, advance)
        with _serving(cloud.store, http_port, logs / "serve.log") as url:
            _announce(cloud, wiring, logs, url, output)
            _await_signal()


def _await_signal() -> None:
    """Wait for Ctrl-C, or to be terminated."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    over.wait()


@contextmanager
def _serving(store: str, port: int, log: Path) -> Iterator[str]:
    """The API at its URL, in a process of its own. Raises UnavailableError if that ends before it answers."""
    with log.open("ab") as written:
        server = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", _SERVER, "serve", "--store", store, "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
            start_new_session=True,  # Ctrl-C is ours to hear
        )
    assert server.stdout is not None  # noqa: S101 - it was made so
    try:
        url = server.stdout.readline().strip()
        if not url:
            raise UnavailableError(f"the API does not start: {log.read_text().strip()}")
        yield url
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def _ask_for_jobs(wiring: Wiring) -> dict[str, str]:
    """Of the settings of the function Api those that jobs need: the API is the local server here."""
    variables = wiring.variables("Api")
    return {name: variables[name] for name in ("ONNXLET_STATE_MACHINE", "ONNXLET_BATCH_ARNS")}


def _announce(cloud: Cloud, wiring: Wiring, logs: Path, url: str, output: Output) -> None:
    machine = {"ONNXLET_STATE_MACHINE": _ask_for_jobs(wiring)["ONNXLET_STATE_MACHINE"]}
    variables = {"ONNXLET_STORE": cloud.store, **machine, **cloud.environment}
    told = {"endpoint": cloud.endpoint, "store": cloud.store, "url": url, "logs": str(logs), "environment": variables}
    output.show(told, "export " + " ".join(f"{name}={value}" for name, value in variables.items()))
    output.say(
        f"S3, SQS, EventBridge and Step Functions answer at {cloud.endpoint}, the API at {url}, until Ctrl-C; "
        f"logs: {logs}"
    )
    output.say(f"files to score: aws --endpoint-url {cloud.endpoint} s3 cp FILE {cloud.store}/batch/in/MODEL/")
    large = wiring.variables("Score")["ONNXLET_LARGE_FILE_MB"]
    output.say(f"from {large} MiB on a file is scored in sections, which a simulator of Step Functions has done")
