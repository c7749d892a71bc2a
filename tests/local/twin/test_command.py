"""`onnxlet local up` as its page tells it, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command_line import ONNXLET, environment
from models import tiny
from onnxlet.store import open_store

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.slow


@contextmanager
def up(store: str, folder: Path, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    command = [*ONNXLET, "local", "up", "--port", "0", "--http-port", "0"]
    twin = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(store, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield twin
    finally:
        twin.kill()
        twin.communicate()


def test_the_page_works_as_it_is_written_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    source = (tmp_path / "store").as_uri()
    tiny.publish(open_store(source), "diagnosis", tiny.classifier_package(tmp_path / "model"))
    (tmp_path / "patients.csv").write_text("radius,texture\n1,2\n3,4\n")
    page = (ROOT / "docs" / "laptop.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    with up(source, tmp_path) as twin:
        assert twin.stdout is not None
        exported = twin.stdout.readline().split()
        assert exported[0] == "export"
        variables = dict(word.split("=", 1) for word in exported[1:])
        assert re.findall(r"([A-Z_]+)=", page) == list(variables)
        (tmp_path / "page.py").write_text(code)
        done = subprocess.run(
            [sys.executable, "page.py"],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("True\n", "")
        listed = subprocess.run(
            [*ONNXLET, "list", "--json"], env={**os.environ, **variables}, capture_output=True, check=True
        )
        assert json.loads(listed.stdout)[0]["model"] == "diagnosis"
        twin.send_signal(signal.SIGINT)
        said = twin.communicate(timeout=30)[1]
        assert twin.returncode == 0
        assert "Score done: batch/in/diagnosis/patients.csv" in said
        assert "Traceback" not in said


def test_elsewhere_than_in_a_clone_it_says_so(tmp_path: Path) -> None:
    with up((tmp_path / "store").as_uri(), tmp_path, cwd=tmp_path) as twin:
        said = twin.communicate(timeout=30)[1]
    assert twin.returncode == 1
    assert "there is no template.yaml here: the twin runs in a clone of the repository" in said
