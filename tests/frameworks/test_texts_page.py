"""The half of the page of texts that is about transformers runs, and answers as it says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from frameworks.test_images_page import run
from scripted import serving

pytestmark = pytest.mark.torch
HALF = (Path(__file__).parents[2] / "docs" / "texts.md").read_text().partition("\n## Transformers\n")[2]


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", HALF, re.MULTILINE | re.DOTALL))


def test_the_half_about_transformers_runs_and_answers_as_it_says(tmp_path: Path) -> None:
    code = blocks("python")
    (tmp_path / "page.py").write_text(code)

    assert run([sys.executable, "page.py"], tmp_path).splitlines() == re.findall(
        r"^print\(.*\)  # (.*)$", code, re.MULTILINE
    )

    with serving((tmp_path / "store").as_uri(), tmp_path / "serving") as server:
        commands = blocks("sh").replace("http://127.0.0.1:8080", server.url).splitlines()
        told = [run(command.replace("curl ", "curl -fsS "), tmp_path) for command in commands]
    assert [re.findall("urgent|routine", answer) for answer in told[:3]] == [["urgent"], ["routine"], ["urgent"]]
    scored = (tmp_path / "scored.csv").read_text().splitlines()
    assert len(scored) == 161
    assert sum(line.count("urgent") == 2 or line.count("routine") == 2 for line in scored[1:]) > 144
