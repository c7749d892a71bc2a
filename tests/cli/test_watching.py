"""`onnxlet watch`: what became of a model, as text, JSON and a page, and what people say of its alarms."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

import onnxlet
from monitor import watched_models
from onnxlet.cli.root import cli
from onnxlet.errors import InvalidInputError, ModelNotFoundError
from onnxlet.monitor.report.document import decode_report
from onnxlet.store import open_store
from onnxlet.values.timestamps import day_of, utc_now

pytestmark = pytest.mark.slow

DAYS = [day_of(utc_now() - timedelta(days=ago)) for ago in (3, 2, 1)]


@pytest.fixture
def url(directory_url: str, tmp_path: Path) -> str:
    """A store with `diagnosis`, whose column `radius` has drifted for two days."""
    store = open_store(directory_url)
    baseline = watched_models.publish(store, tmp_path / "model")
    for seed, day in enumerate(DAYS):
        watched_models.count(store, baseline, day, seed + 1, shift=1.0 if seed else 0.0)
    return directory_url


def run(url: str, *arguments: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(cli, ["--store", url, "watch", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def test_a_name_alone_shows_the_model_in_sections(url: str) -> None:
    told, warned = run(url, "diagnosis")
    assert told == run(url, "show", "diagnosis")[0]
    assert [line for line in told.splitlines() if line in {"Traffic", "Drift", "Data quality"}] == [
        "Traffic",
        "Drift",
        "Data quality",
    ]
    assert "alarm: diagnosis:2 radius has drifted" in warned
    document = run(url, "--json", "diagnosis:2")[0]
    assert decode_report(document.encode()).versions == (2,)


def test_the_page_is_written_where_it_should_be_and_no_browser_opened_for_scripts(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", f"touch {tmp_path / 'opened'}")
    assert "the page is" not in run(url, "diagnosis")[1]
    run(url, "diagnosis", "--html", str(tmp_path / "page.html"))
    assert "<svg" in (tmp_path / "page.html").read_text()
    _, said = run(url, "diagnosis", "--open")
    path = Path(said.rsplit("the page is ", 1)[1].strip())
    assert path.read_text().startswith("<!doctype html>")
    assert not (tmp_path / "opened").exists()


def shown_in_a_terminal(url: str, folder: Path, *arguments: str, browser: bool = True) -> str:
    """The URL that a browser is asked for by the command in a terminal; empty if none is."""
    script, asked = folder / "browser", folder / "asked"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {asked}\n')
    script.chmod(0o755)
    ours, theirs = pty.openpty()
    program = "from onnxlet.cli.root import main; main()"
    command = [sys.executable, "-c", program, "--store", url, "watch", "diagnosis", *arguments]
    environ = {
        name: value for name, value in os.environ.items() if name not in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    }
    if browser:
        environ["BROWSER"] = f"{script} %s"
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environ) as it:
        os.close(theirs)
        while _read(ours):
            pass
    assert it.returncode == 0
    return asked.read_text() if asked.exists() else ""


@pytest.mark.parametrize("arguments", [[], ["--open"]])
def test_in_a_terminal_the_page_is_shown_by_the_browser(url: str, tmp_path: Path, arguments: list[str]) -> None:
    assert shown_in_a_terminal(url, tmp_path, *arguments).startswith("file://")


@pytest.mark.parametrize("arguments", [["--no-open"], ["--json"], ["--html", "page.html"]])
def test_in_a_terminal_no_browser_is_opened_for_who_wants_something_else(
    url: str, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_in_a_terminal(url, tmp_path, *arguments) == ""


def test_in_a_terminal_without_a_browser_none_is_looked_for(url: str, tmp_path: Path) -> None:
    assert shown_in_a_terminal(url, tmp_path, browser=False) == ""


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when nobody has the other end any more
        return b""


def test_a_run_opens_alarms_that_people_acknowledge(url: str) -> None:
    (event,) = run(url, "run")[0].splitlines()
    assert json.loads(event)["about"] == "radius"
    assert run(url, "run") == ("", "")
    assert json.loads(run(url, "run", "--json")[0])["watched"] == ["diagnosis"]
    told, warned = run(url, "diagnosis")
    assert f"(open since {day_of(utc_now())})" in warned
    assert run(url, "acknowledge", "diagnosis", "radius", "--why", "a new clinic")[0] == (
        f"acknowledged: radius {warned.split('diagnosis:2 ')[1].split(' (open')[0]}\n"
    )
    told, warned = run(url, "diagnosis")
    assert warned.startswith("acknowledged: diagnosis:2 radius has drifted")
    assert "a new clinic" in told
    assert "no open alarm waits for somebody" in run(url, "acknowledge", "diagnosis", "--why", "all", code=1)[1]
    told, _ = run(url, "log", "diagnosis")
    assert [next(word for word in ("opened", "acknowledged") if word in line) for line in told.splitlines()[1:]] == [
        "opened",
        "acknowledged",
    ]


def test_a_muted_column_is_told_to_nobody(url: str) -> None:
    until = day_of(utc_now() + timedelta(days=9))
    assert run(url, "mute", "diagnosis", "radius", "--why", "moving", "--until", until)[0] == (
        f"muted: radius until {until}\n"
    )
    assert run(url, "run")[0] == ""
    assert run(url, "diagnosis")[1].startswith("muted: diagnosis:2 radius has drifted")
    assert run(url, "unmute", "diagnosis", "radius")[0] == "unmuted: radius\n"
    assert json.loads(run(url, "mute", "diagnosis", "label", "--why", "x", "--json")[0])["sequence"] == 4
    assert run(url, "unmute", "diagnosis", "label")
    assert json.loads(run(url, "run")[0])["state"] == "found"
    assert [entry.changes[0].what for entry in onnxlet.Registry(url).alarm_log("diagnosis")] == [
        "muted",
        "opened",
        "unmuted",
        "muted",
        "unmuted",
        "announced",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mute", "diagnosis", "radios", "--why", "typo"), "no version of 'diagnosis' has a column 'radios'"),
        (("mute", "diagnosis", "--why", " "), "say why"),
        (("mute", "diagnosis", "--why", "late", "--until", "2020-01-01"), "is no day to come"),
        (("mute", "nobody", "--why", "gone"), "no model named 'nobody'"),
        (("unmute", "diagnosis"), "the whole model is not muted"),
        (("log", "nobody"), "no model named 'nobody'"),
        (("acknowledge", "diagnosis", "--why", "a\x1b[2Jb"), "without control"),
    ],
)
def test_what_cannot_be_done_says_why(url: str, arguments: tuple[str, ...], says: str) -> None:
    assert says in run(url, *arguments, code=1)[1]


def test_reasons_must_be_given(url: str) -> None:
    assert "--why" in run(url, "mute", "diagnosis", code=2)[1]


def test_from_python_the_same(url: str) -> None:
    registry = onnxlet.Registry(url)
    with pytest.raises(InvalidInputError, match="no open alarm"):
        registry.acknowledge("diagnosis", why="I know")
    book = registry.mute("diagnosis", why="all of it", until=day_of(utc_now()))
    assert [mute.about for mute in book.mutes] == [""]
    assert registry.unmute("diagnosis").mutes == ()
    assert "muted" in repr(registry.alarm_log("diagnosis"))
    with pytest.raises(ModelNotFoundError):
        registry.alarm_log("nobody")


def test_a_model_that_is_called_as_a_command_is_shown_by_the_long_form(directory_url: str) -> None:
    assert "no model named 'run'" in run(directory_url, "show", "run", code=1)[1]


def test_a_model_that_fails_fails_the_run_and_is_named(url: str) -> None:
    open_store(url).put(f"sketches/live/broken/1/{DAYS[0]}/merged.json", b"[]")
    assert "broken is not watched" in run(url, "run", code=1)[1]
