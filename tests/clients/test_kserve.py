"""KServe's Python client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.environment import run_client


@pytest.fixture(scope="module")
def answers(server: str) -> dict[str, Any]:
    """What the client got."""
    program = Path(__file__).with_name("kserve_program.py")
    said = run_client("kserve", ["python", program, server])
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def test_it_finds_server_and_model_ready(answers: dict[str, Any]) -> None:
    assert (answers["live"], answers["ready"]) == (True, True)
    assert answers["models"] == [True, False]


def test_it_infers_by_tensor_and_by_column(answers: dict[str, Any]) -> None:
    by_tensor, by_column = answers["answers"]
    for answer in (by_tensor, by_column):
        assert answer["id"] == "42"
        assert answer["outputs"].keys() == {"label", "probability", "probabilities"}
        assert answer["outputs"]["label"][0] in ("malignant", "benign")


def test_it_tells_what_is_wrong(answers: dict[str, Any]) -> None:
    assert "no model named 'nobody'" in answers["refused"]
