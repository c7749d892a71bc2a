"""The predict function as Lambda runs it: in a process of its own, from its own folder, with its environment alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from doors import Shop
from onnxlet.store import open_store

EVENTS = Path(__file__).parents[1] / "events"
FUNCTION = Path(__file__).parents[2] / "functions" / "predict"
FORBIDDEN = ("fastapi", "starlette", "mangum", "boto3", "botocore", "pydantic", "click", "onnx", "tqdm", "uvicorn")

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import app
answers = [app.handler(json.loads(event), None) for event in sys.argv[2:]]
modules = sorted({name if name.startswith("onnxlet.") else name.partition(".")[0] for name in sys.modules})
print(json.dumps({"answers": answers, "modules": modules}))
"""


def run(events: list[str], store: str, cache: Path, **environment: str) -> dict[str, Any]:
    """What the function answers, and the modules that it needed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ONNXLET_", "ORT_"))}
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(FUNCTION), *events],
        env=kept | {"ONNXLET_STORE": store, "ONNXLET_CACHE_DIR": str(cache)} | environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert finished.stderr == ""
    answered: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return answered


@pytest.fixture(params=["file", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that holds the classifier."""
    url: str = request.getfixturevalue("s3_store_url" if request.param == "s3" else "directory_url")
    Shop(open_store(url), tmp_path / "shop").publish_diagnosis()
    return url


def test_it_predicts_without_any_forbidden_module(store_url: str, tmp_path: Path) -> None:
    events = [(EVENTS / f"predict-{name}.json").read_text() for name in ("http-api", "direct", "http-api-ready")]
    found = run(events, store_url, tmp_path / "cache")
    http, direct, ready = found["answers"]
    assert http["statusCode"] == 200
    assert http["headers"]["X-Onnxlet-Model-Version"] == "1"
    assert http["headers"]["Server-Timing"].startswith("fetch;dur=")
    assert json.loads(http["body"]) | {"model_version": 1} == direct
    assert direct["predictions"][0]["label"] == "malignant"
    assert ready["statusCode"] == 200
    assert not set(FORBIDDEN) & set(found["modules"])
    assert ("obstore" in found["modules"]) is store_url.startswith("s3://")


def test_it_starts_without_what_a_prediction_does_not_need(directory_url: str, tmp_path: Path) -> None:
    Shop(open_store(directory_url), tmp_path / "shop").publish_diagnosis()
    event = (EVENTS / "predict-http-api.json").read_text()
    modules = set(run([event], directory_url, tmp_path / "cache")["modules"])
    assert not {"simdjson", "csimdjson", "gzip", "zlib", "ssl", "asyncio", "http", "concurrent"} & modules


def test_it_infers_by_the_open_inference_protocol(store_url: str, tmp_path: Path) -> None:
    event = (EVENTS / "predict-http-api-infer.json").read_text()
    found = run([event], store_url, tmp_path / "cache")
    [answer] = found["answers"]
    assert answer["statusCode"] == 200, answer
    assert answer["headers"]["X-Onnxlet-Model-Version"] == "1"
    document = json.loads(answer["body"])
    assert (document["id"], document["model_name"], document["model_version"]) == ("42", "diagnosis", "1")
    assert [output["name"] for output in document["outputs"]] == ["label", "probabilities"]
    assert not set(FORBIDDEN) & set(found["modules"])


@pytest.mark.parametrize(
    ("event", "loaded", "spared"),
    [
        ("http-api", "tensorflow_serving", "open_inference"),
        ("direct", "tensorflow_serving", "open_inference"),
        ("http-api-infer", "open_inference", "tensorflow_serving"),
        ("http-api-ready", "open_inference", "tensorflow_serving"),
    ],
)
def test_it_loads_the_protocol_that_is_spoken_and_no_other(
    directory_url: str, tmp_path: Path, event: str, loaded: str, spared: str
) -> None:
    Shop(open_store(directory_url), tmp_path / "shop").publish_diagnosis()
    modules = run([(EVENTS / f"predict-{event}.json").read_text()], directory_url, tmp_path / "cache")["modules"]
    assert any(f".{loaded}." in name for name in modules)
    assert not [name for name in modules if f".{spared}." in name or name.endswith((".openapi", ".interface"))]


def test_it_loads_models_before_the_first_request(store_url: str, tmp_path: Path) -> None:
    event = (EVENTS / "predict-http-api.json").read_text()
    [answer] = run([event], store_url, tmp_path / "cache", ONNXLET_PRELOAD="diagnosis")["answers"]
    assert answer["statusCode"] == 200
    assert "Server-Timing" not in answer["headers"]


def test_what_stays_is_never_looked_through_for_garbage(directory_url: str) -> None:
    program = (
        "import gc, sys; sys.path.insert(0, sys.argv[1]); began = gc.get_stats()[2]['collections']; import app; "
        "print(gc.isenabled(), gc.get_freeze_count() > 10_000, gc.get_stats()[2]['collections'] - began)"
    )
    environ = os.environ | {"ONNXLET_STORE": directory_url}
    command = [sys.executable, "-c", program, str(FUNCTION)]
    done = subprocess.run(command, env=environ, capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "True", "0"]


def test_the_handler_is_composition_only() -> None:
    assert len((FUNCTION / "app.py").read_text().splitlines()) <= 25
