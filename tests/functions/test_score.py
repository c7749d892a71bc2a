"""The score function: an event in, books out, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from models import tiny
from onnxlet.store import open_store

APP = Path(__file__).parents[2] / "functions" / "score" / "app.py"
EVENT = Path(__file__).parents[1] / "events" / "score-eventbridge.json"
KEY = "batch/in/diagnosis/ward 7/new patients+1.csv"


def test_the_function_scores_without_a_web_framework(s3_store_url: str, tmp_path: Path) -> None:
    store = open_store(s3_store_url)
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "model"))
    store.put(KEY, b"radius,texture\n1,2\n,2\n2,2\n")
    bucket, _, prefix = s3_store_url.removeprefix("s3://").partition("/")
    event = tmp_path / "event.json"
    event.write_text(EVENT.read_text().replace("onnxlet-models", bucket).replace("batch/", f"{prefix}/batch/"))
    code = f"""
import json, sys
sys.path.insert(0, {str(APP.parent)!r})
import app
answer = app.handler(json.load(open({str(event)!r})), None)
assert answer["scored"][0]["rows"]["scored"] == 2, answer
barred = {{"fastapi", "starlette", "mangum", "pydantic", "boto3", "botocore", "click", "onnx", "tqdm", "uvicorn"}}
print(sorted(barred & set(sys.modules)))
"""
    environment = {**os.environ, "ONNXLET_STORE": s3_store_url, "ONNXLET_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_function_is_composition_only() -> None:
    assert len(APP.read_text().splitlines()) <= 25
