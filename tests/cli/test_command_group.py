"""The group of commands: advice that fits the error and none that repeats it, and Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from onnxlet.cli import cli
from onnxlet.cli.command_group import CommandError, CommandGroup
from onnxlet.errors import (
    InvalidInputError,
    MissingExtraError,
    OnnxletError,
    StoreUnavailableError,
    TrustRequiredError,
    UnavailableError,
)
from onnxlet.store import open_store

FILL = """
import resource, sys
from pathlib import Path
from onnxlet.cli.command_group import CommandError
from onnxlet.errors import StoreUnavailableError
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from registries import DRAFT

# no file may grow beyond 200 bytes, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
try:
    Registry(open_store(sys.argv[1])).publish("m", DRAFT, {"model.onnx": Path(sys.argv[2])})
except StoreUnavailableError as error:
    CommandError(error).show()
"""


def _full(error: OnnxletError) -> OnnxletError:
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            _full(StoreUnavailableError("'file:///store' failed: no space left on device", store="file:///store")),
            "make room on that disk, or name another --store",
        ),
        (_full(InvalidInputError("cannot write 'report.html': No space left on device")), "make room on that disk"),
        (_full(UnavailableError("the disk of '/tmp' is full: make room, or set TMPDIR elsewhere")), None),
        (
            StoreUnavailableError("'file:///store' failed: permission denied", store="file:///store"),
            "check that the directory of --store or ONNXLET_STORE can be read and written, and its disk has room",
        ),
        (
            StoreUnavailableError("'s3://bucket' failed", store="s3://bucket"),
            "check --store or ONNXLET_STORE, the network and your AWS credentials",
        ),
        (MissingExtraError("this needs torch: pip install 'onnxlet[torch]'", extra="torch"), None),
        (MissingExtraError("TensorFlow does not start", extra="tensorflow"), "pip install 'onnxlet[tensorflow]'"),
        (TrustRequiredError("'m.joblib' is a pickle: pass --trust if you know who made it"), None),
        (OnnxletError("no"), None),
    ],
)
def test_a_hint_fits_its_error_and_adds_something(error: OnnxletError, hint: str | None) -> None:
    assert CommandError(error).hint == hint


def test_a_store_on_a_full_disk_is_told_to_be_full_and_is_left_clean(directory_url: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(bytes(201))
    done = subprocess.run(
        [sys.executable, "-c", FILL, directory_url, str(tmp_path / "model.onnx")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == (
        f"error: {directory_url!r} failed at 'models/m/1/model.onnx': file too large\n"
        "  try: check that the directory of --store or ONNXLET_STORE can be read and written, and its disk has room\n"
    )
    found = {entry.key for entry in open_store(directory_url).list("")}
    assert found == {"models/m/1/claim.json", "models/m/1/deleted.json"}


def test_a_directory_without_a_draft_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    result = CliRunner().invoke(cli, ["publish", str(tmp_path / "exp"), "m"])

    assert result.exit_code == 1
    assert result.stderr == (
        f"error: '{tmp_path / 'exp'}' is no converted model: it has no draft.json; `onnxlet convert` makes one\n"
    )


@pytest.fixture
def listening() -> Iterator[CommandGroup]:
    """A group that listens for Ctrl-C, with a command that hides it as the import of a compiled module does."""
    group = CommandGroup("group")

    @group.command()
    @click.argument("kind")
    @click.option("--alone", is_flag=True)
    def load(*, kind: str, alone: bool) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            if not alone:
                signal.raise_signal(signal.SIGINT)
        error = ImportError("initialization failed")
        if kind == "extra":
            raise MissingExtraError("needs the extra 'sklearn'") from error
        raise error

    before = signal.getsignal(signal.SIGINT)
    group.watch_interrupts()
    yield group
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", ["module", "extra"])
def test_ctrl_c_that_an_import_takes_for_its_own_failure_interrupts_all_the_same(
    listening: CommandGroup, kind: str
) -> None:
    result = CliRunner().invoke(listening, ["load", kind])
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "interrupted\n")


def test_an_import_that_fails_by_itself_is_no_interruption(listening: CommandGroup) -> None:
    assert isinstance(CliRunner().invoke(listening, ["load", "module", "--alone"]).exception, ImportError)
    assert CliRunner().invoke(listening, ["load", "extra", "--alone"]).exit_code == 1


def test_ctrl_c_that_whoever_started_it_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        CommandGroup("group").watch_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
