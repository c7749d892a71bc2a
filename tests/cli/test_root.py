"""The whole command: help, stores, errors, the output that scripts rely on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import onnx
import pytest
from click.testing import CliRunner

from command_line import ONNXLET, Run, environment
from models import tiny
from onnxlet.cli import cli
from onnxlet.version import __version__


def test_what_the_system_refuses_is_one_line(run: Run) -> None:
    @cli.command("fill", hidden=True)
    def fill() -> None:
        Path("/dev/full").write_bytes(b"x" * 100_000)

    try:
        result = run("fill")
    finally:
        del cli.commands["fill"]
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the system refused: no space left on device")


def test_errors_are_one_line_with_a_hint(run: Run) -> None:
    result = run("show", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    error, hint = result.stderr.splitlines()
    assert error == "error: no model named 'nobody'"
    assert "onnxlet list" in hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["promte"], "Did you mean 'promote'"),
        (["promote", "diagnosis"], "names no version"),
        (["promote", "diagnosis:zero"], "is not a version"),
        (["promote", "diagnosis:1", "--to", "no alias"], "cannot be an alias"),
        (["show", "../etc"], "cannot be a model name"),
        (["serve", "--port", "70000"], "--port"),
        (["invoke", "nothing", "-"], "does not exist"),
    ],
)
def test_usage_errors_exit_with_two(run: Run, words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_store_of_no_known_kind_is_our_error() -> None:
    result = CliRunner().invoke(cli, ["--store", "ftp://somewhere", "list"])
    assert result.exit_code == 1
    assert "is no store" in result.stderr


def test_commands_take_the_store_too_and_the_last_one_named_is_meant(run: Run, diagnosis: str, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    assert run("list").exit_code == 0
    assert diagnosis in CliRunner().invoke(cli, ["list", "--store", "store"]).stdout
    assert diagnosis in CliRunner().invoke(cli, ["--store", elsewhere, "list", "--store", "store"]).stdout
    assert "no models" in CliRunner().invoke(cli, ["--store", "store", "list", "--store", elsewhere]).stderr
    result = CliRunner().invoke(cli, ["list", "--store", "ftp://somewhere"])
    assert (result.exit_code, "is no store" in result.stderr) == (1, True)


def test_a_blank_store_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("ONNXLET_STORE", " ")
    assert f"no models in {(tmp_path / 'onnxlet' / 'store').as_uri()}" in CliRunner().invoke(cli, ["list"]).stderr


def test_a_plain_path_is_a_store_and_the_environment_names_the_default(
    run: Run, directory_url: str, diagnosis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("list").exit_code == 0
    assert diagnosis in CliRunner().invoke(cli, ["--store", "store", "list"]).stdout
    monkeypatch.setenv("ONNXLET_STORE", directory_url)
    assert diagnosis in CliRunner().invoke(cli, ["list"]).stdout
    monkeypatch.delenv("ONNXLET_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "a folder"))
    model = tmp_path / "tiny.onnx"
    onnx.save(tiny.regressor(), model)
    assert CliRunner().invoke(cli, ["publish", str(model), "sum"]).stdout == "sum:1\n"
    assert (tmp_path / "a folder" / "onnxlet" / "store" / "models" / "sum" / "1" / "manifest.json").is_file()


def leaves(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of each command that does something, those below groups of commands too."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *words, name)
        elif not command.hidden:
            yield (*words, name)


def test_every_command_has_help_with_an_example_and_json() -> None:
    for words in leaves(cli):
        result = CliRunner().invoke(cli, [*words, "--help"])
        assert result.exit_code == 0
        assert re.search(rf"Example:\n.*onnxlet {' '.join(words)}", result.stdout, re.DOTALL), words
        assert "--json" in result.stdout


def test_help_and_version_load_nothing_heavy() -> None:
    code = """
import sys
from onnxlet.cli import cli
for words in (["--help"], ["--version"], ["predict", "--help"], ["convert", "--help"], ["serve", "--help"]):
    cli(words, standalone_mode=False)
heavy = {"numpy", "onnxruntime", "onnx", "fastapi", "pydantic", "uvicorn", "sklearn", "tqdm", "obstore", "msgspec"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "loaded: []"
    assert f"onnxlet, version {__version__}" in done.stdout


def test_a_closed_pipe_ends_a_command_without_a_traceback(diagnosis: str, directory_url: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*ONNXLET, "show", diagnosis],
        env=environment(directory_url, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert b"Traceback" not in stderr.read()
    process.wait(60)
