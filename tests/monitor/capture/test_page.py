"""The page about capture: its policy is taken and its commands run, in their order."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.linear_model import LogisticRegression

import onnxlet
from captures import captured
from onnxlet.store import open_store
from patients import FEATURES, patients, pipeline
from scripted import serving

pytestmark = [pytest.mark.slow, pytest.mark.toolchain]
PAGE = (Path(__file__).parents[3] / "docs" / "capture.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_runs_from_the_policy_to_the_erasure(tmp_path: Path, directory_url: str) -> None:
    trained, held_out = patients(400, 0), patients(300, 1)
    model = pipeline(LogisticRegression(max_iter=1_000)).fit(trained[list(FEATURES)], trained["diagnosis"])
    onnxlet.convert(model, tmp_path / "diagnosis", data=held_out[[*FEATURES, "diagnosis"]], target="diagnosis")
    policy, row = blocks("json")
    (tmp_path / "policy.json").write_text(policy)
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ONNXLET_STORE": directory_url,
        "ONNXLET_CACHE_DIR": str(tmp_path / "cache"),
    }

    def run(command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    told: dict[str, str] = {}
    for command in "".join(blocks("sh")).splitlines():
        if command.startswith("curl "):
            with serving(directory_url, tmp_path / "serving") as server:
                run(command.replace("http://127.0.0.1:8080", server.url).replace("curl ", "curl -fsS "))
            (kept,) = captured(open_store(directory_url), "diagnosis")
            assert kept.keys() == json.loads(row).keys()
            assert kept["columns"] == json.loads(row)["columns"]
        else:
            told[command] = run(command)
    assert "bucket age (width 10)" in told["onnxlet show diagnosis:1"]
    assert "visit-42" in told["onnxlet capture show diagnosis --request-id visit-42"]
    assert captured(open_store(directory_url), "diagnosis") == []
    baseline = json.loads(open_store(directory_url).get("models/diagnosis/1/baseline.json").data)
    assert "smoker" not in {column["name"] for column in baseline["columns"]}
