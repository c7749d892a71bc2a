"""The functions of the state machine, one process for each, from a file in S3 to its book."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models import tiny
from onnxlet.batch.book import decode_book
from onnxlet.store import open_store

FUNCTIONS = Path(__file__).parents[2] / "functions"
EVENTS = Path(__file__).parents[1] / "events"
CONTENT = b"radius,texture\n1,2\n,2\n2,2\n4,4\n"
STEPS = [("plan", "open"), ("plan", "scan"), ("plan", "sections"), ("score", "section"), ("finish", "close")]

CODE = """
import json, sys
class Context:
    def get_remaining_time_in_millis(self): return 300_000
sys.path.insert(0, sys.argv[1])
import app
answer = app.handler(json.loads(sys.argv[2]), Context())
barred = {"fastapi", "starlette", "mangum", "pydantic", "click", "onnx", "tqdm", "uvicorn"}
print(json.dumps([answer, sorted(barred & set(sys.modules)), "boto3" in sys.modules]))
"""


def _invoke(function: str, event: dict[str, Any], environment: dict[str, str]) -> tuple[dict[str, Any], bool]:
    command = [sys.executable, "-c", CODE, str(FUNCTIONS / function), json.dumps(event)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    answer, barred, has_boto3 = json.loads(done.stdout)
    assert barred == []
    return answer, has_boto3


def test_the_functions_score_a_file_step_by_step(s3_store_url: str, tmp_path: Path) -> None:
    store = open_store(s3_store_url)
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "model"))
    events = [json.loads((EVENTS / f"{function}-{step}.json").read_text()) for function, step in STEPS]
    store.put(events[0]["order"]["key"], CONTENT)
    environment = {**os.environ, "ONNXLET_STORE": s3_store_url, "ONNXLET_CACHE_DIR": str(tmp_path / "cache")}
    work = ""
    answers = []
    for (function, _), event in zip(STEPS, events, strict=True):
        answer, has_boto3 = _invoke(function, {**event, "work": work}, environment)
        assert has_boto3 == (function == "finish")
        work = answer.get("work", work)
        answers.append(answer)
    assert [answer.get("state") for answer in answers] == ["scan", None, "score", None, "scored"]
    assert answers[3] == {"left": False}
    book = decode_book(store.get(answers[4]["book"]).data)
    assert (book.state, book.rows and book.rows.scored) == ("scored", 3)


@pytest.mark.parametrize("function", ["plan", "finish"])
def test_a_function_is_composition_only(function: str) -> None:
    assert len((FUNCTIONS / function / "app.py").read_text().splitlines()) <= 25
