"""The page of images runs, and answers as it says."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripted import serving

pytestmark = pytest.mark.torch
PAGE = Path(__file__).parents[2] / "docs" / "images.md"


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))


def run(command: list[str] | str, folder: Path) -> str:
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ONNXLET_STORE": (folder / "store").as_uri(),
        "ONNXLET_CACHE_DIR": str(folder / "cache"),
    }
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, shell=isinstance(command, str)
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_page_of_images_runs_and_answers_as_it_says(tmp_path: Path) -> None:
    code = blocks("python")
    (tmp_path / "page.py").write_text(code)

    assert run([sys.executable, "page.py"], tmp_path).splitlines() == re.findall(
        r"^print\(.*\)  # (.*)$", code, re.MULTILINE
    )

    with serving((tmp_path / "store").as_uri(), tmp_path / "serving") as server:
        commands = blocks("sh").replace("http://127.0.0.1:8080", server.url).splitlines()
        told = [run(command.replace("curl ", "curl -fsS "), tmp_path) for command in commands]
    assert [re.findall("clear|opacity", answer) for answer in told[:3]] == [
        ["opacity"],
        ["clear", "opacity"],
        ["opacity"],
    ]
    assert (tmp_path / "heatmap.png").read_bytes().startswith(b"\x89PNG")
    listed, everything = (
        list(csv.DictReader((tmp_path / name).read_text().splitlines())) for name in ("scored.csv", "all.csv")
    )
    assert (len(listed), len(everything)) == (160, 400)
    assert sum(row["label"] == row["finding"] for row in listed) > 144
    explained = json.loads(told[-1])
    assert explained["explained"]["grid"] == [16, 16]
    assert len(explained["explanations"][0]["attributions"]["opacity"]) == 256
