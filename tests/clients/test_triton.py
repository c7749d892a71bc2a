"""NVIDIA Triton's Python client, in its JSON form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.environment import run_client
from onnxlet.version import __version__
from pictures import BRIGHT, DARK


@pytest.fixture(scope="module")
def answers(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client got."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "dark.jpg").write_bytes(DARK)
    (folder / "bright.jpg").write_bytes(BRIGHT)
    program = Path(__file__).with_name("triton_program.py")
    found: dict[str, Any] = json.loads(
        run_client("triton", ["python", program, server, folder / "dark.jpg", folder / "bright.jpg"])
    )
    return found


def test_it_finds_server_and_model_ready(answers: dict[str, Any]) -> None:
    assert (answers["live"], answers["ready"]) == (True, True)
    assert answers["models"] == [True, True, False, False]


def test_it_reads_metadata(answers: dict[str, Any]) -> None:
    assert answers["server"] == {"name": "onnxlet", "version": __version__, "extensions": ["explain"]}
    assert answers["metadata"]["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 30]}]
    assert answers["metadata"]["versions"] == ["1"]


def test_it_infers_and_gets_its_id_back(answers: dict[str, Any]) -> None:
    diagnosis = answers["diagnosis"]
    assert (diagnosis["id"], diagnosis["model_name"], diagnosis["model_version"]) == ("42", "diagnosis", "1")
    kind, labels = diagnosis["arrays"]["label"]
    assert (kind, labels[0]) == ("object", labels[1])
    assert labels[0] in ("malignant", "benign")
    kind, probabilities = diagnosis["arrays"]["probabilities"]
    assert (kind, len(probabilities), len(probabilities[0])) == ("float32", 2, 2)


def test_it_keeps_integers_of_64_bits_and_texts_exact(answers: dict[str, Any]) -> None:
    assert answers["integers"]["arrays"] == {"y": ["int64", [2**63 - 1, -(2**63), 2**53 + 1]]}
    assert answers["words"]["arrays"] == {"y": ["object", [["yes", "ü"], ["", "no"]]]}


def test_it_sends_pictures_in_base64(answers: dict[str, Any]) -> None:
    assert answers["films"]["arrays"] == {"label": ["object", ["dark", "bright"]]}


def test_it_tells_what_is_wrong(answers: dict[str, Any]) -> None:
    wrong, unknown = answers["refused"]
    assert wrong == ["400", "input 'features' takes shape [-1, 30], not [1, 29]"]
    assert unknown == ["404", "no model named 'nobody'"]
