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
@json_option
@pass_workspace
def up(workspace: Workspace, *, port: int, http_port: int, empty: bool, output: Output) -> None:
    """Play AWS on this machine until Ctrl-C: files that land in batch/in/ are scored as they are on AWS.

    S3, SQS and EventBridge are played by moto's server; the functions are those of functions/, called as template.yaml
    says, in a clone of the repository. Models, aliases and history of the store are copied in; all is lost at the
    end. Messages that fail come again after 10 seconds, whatever the template says, and lie among the dead letters
    after as many tries as it allows.

    \b
    Example:
      onnxlet local up
      aws --endpoint-url http://127.0.0.1:4566 s3 cp big.csv s3://onnxlet-local/batch/in/diagnosis/
    """
    try:
        from onnxlet.local.twin.running import copy_registry, run_twin
    except ImportError as error:
        raise MissingExtraError(f"{error.name} is not installed: pip install 'onnxlet[local]'") from error
    logs = Path(tempfile.mkdtemp(prefix="onnxlet-local-"))
    source = None if empty else workspace.open_store()
    with run_twin(Path("template.yaml"), logs, output.say, port=port) as cloud:
        os.environ.update(cloud.environment)
        target = Workspace(cloud.store).open_store()
        if source is not None:
            with output.progress("copying models", "B") as advance:
                copy_registry(source, target, advance)
        with _serving(cloud.store, http_port, logs / "serve.log") as url:
            _announce(cloud, logs, url, output)
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


def _announce(cloud: Cloud, logs: Path, url: str, output: Output) -> None:
    told = {
        "endpoint": cloud.endpoint,
        "store": cloud.store,
        "url": url,
        "logs": str(logs),
        "environment": dict(cloud.environment),
    }
    exports = " ".join(f"{name}={value}" for name, value in cloud.environment.items())
    output.show(told, f"export ONNXLET_STORE={cloud.store} {exports}")
    output.say(f"S3, SQS and EventBridge answer at {cloud.endpoint}, the API at {url}, until Ctrl-C; logs: {logs}")
    output.say(f"files to score: aws --endpoint-url {cloud.endpoint} s3 cp FILE {cloud.store}/batch/in/MODEL/")
