"""TensorBoard: the models of a store, written as event files, and shown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from onnxlet.errors import InvalidInputError, MissingExtraError, OnnxletError
from onnxlet.lifecycle.workspace import resolve_url
from onnxlet.values.digests import digest

if TYPE_CHECKING:
    from onnxlet.lifecycle.workspace import Workspace
    from onnxlet.monitor.tensorboard.history import Traffic

Progress = Callable[[int, int], None]
Say = Callable[[str], None]
_SHORT = 12
"""Characters of a digest that tell stores apart."""


class WrittenLogs(NamedTuple):
    """Where event files lie, as TensorBoard's `--logdir` takes it, and how many new steps each run got."""

    logdir: str
    runs: Mapping[str, int]

    @property
    def steps(self) -> int:
        """Of all runs."""
        return sum(self.runs.values())


def default_logdir(workspace: Workspace) -> str:
    """A directory in the user's own data folder, one for each store."""
    from platformdirs import user_data_path

    return str(user_data_path("onnxlet") / "tensorboard" / digest(workspace.url.encode()).partition(":")[2][:_SHORT])


def write_logs(
    workspace: Workspace, models: Sequence[str], logdir: str, *, say: Say = print, progress: Progress = lambda *_: None
) -> WrittenLogs:
    """Write what is new of some models, or of all, to a directory or a bucket.

    Requests and times come from CloudWatch where the store is in S3; that it does not tell them is only said.
    Raises ModelNotFoundError, InvalidInputError for no directory, MissingExtraError, IntegrityError.
    """
    from onnxlet.monitor.tensorboard.history import read_history
    from onnxlet.monitor.tensorboard.logs import Logs
    from onnxlet.monitor.tensorboard.table import steps_of
    from onnxlet.store import open_store

    url = resolve_url(logdir)
    if url.startswith("memory://"):
        raise InvalidInputError("TensorBoard reads no memory of this process: use a directory or s3://bucket/prefix")
    store, logs = workspace.open_store(), Logs(open_store(url))
    runs: dict[str, int] = {}
    names = list(models) or workspace.open_registry().models()
    for place, model in enumerate(names):
        with workspace.naming_others():
            history = read_history(store, model, _read_traffic(workspace.url, model, say))
        for run, steps in steps_of(history).items():
            runs[run] = logs.write(run, steps)
        progress(place + 1, len(names))
    return WrittenLogs(_as_tensorboard_reads(url), runs)


def serve_logs(logs: WrittenLogs, *, port: int, every: float, refresh: Callable[[], object]) -> int:
    """Run TensorBoard until it ends, and write what is new every so many seconds; return its exit code.

    Raises MissingExtraError where it is not installed.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard is not installed: pip install 'onnxlet[tensorboard]'", extra="tensorboard")
    if logs.logdir.startswith("s3://") and find_spec("boto3") is None:
        raise MissingExtraError("TensorBoard reads s3:// with boto3: pip install boto3")
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs.logdir, "--port", str(port)]
    process = subprocess.Popen(command)  # noqa: S603 - this Python, with a path of ours
    try:
        while True:
            try:
                return process.wait(timeout=every)
            except subprocess.TimeoutExpired:
                refresh()
    finally:
        process.terminate()
        process.wait()


def _read_traffic(url: str, model: str, say: Say) -> dict[int, list[Traffic]]:
    if not url.startswith("s3://"):
        return {}
    from onnxlet.lifecycle.traffic import read_traffic

    try:
        return read_traffic(model)
    except OnnxletError as error:
        say(f"no requests and times of {model}: {error.detail}")
        return {}


def _as_tensorboard_reads(url: str) -> str:
    return str(Path(unquote(urlsplit(url).path))) if url.startswith("file:") else url
