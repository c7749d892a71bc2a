"""The watch function, as a schedule invokes it: in a process of its own, with its environment alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from monitor import watched_models
from onnxlet.monitor.alarms.ledger import read_book
from onnxlet.store import open_store
from onnxlet.values.timestamps import day_of, utc_now
from telemetry.embedded_metric_format import check

APP = Path(__file__).parents[2] / "functions" / "watch" / "app.py"
EVENT = Path(__file__).parents[1] / "events" / "watch-schedule.json"

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import app
loaded = set(sys.modules)
print(json.dumps(app.handler(json.load(open(sys.argv[2])), None)))
barred = {"fastapi", "starlette", "mangum", "pydantic", "click", "onnx", "onnxruntime", "tqdm", "uvicorn", "scipy"}
print(json.dumps(sorted(barred & set(sys.modules) | {"boto3"} & loaded)))
"""


def test_the_function_watches_without_a_web_framework_or_onnxruntime(s3_store_url: str, tmp_path: Path) -> None:
    store = open_store(s3_store_url)
    baseline = watched_models.publish(store, tmp_path)
    for ago in (3, 2, 1):
        watched_models.count(store, baseline, day_of(utc_now() - timedelta(days=ago)), ago, shift=1.0 if ago < 3 else 0)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(APP.parent), str(EVENT)],
        env={**os.environ, "ONNXLET_STORE": s3_store_url, "AWS_LAMBDA_FUNCTION_NAME": "onnxlet-watch"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    metrics, answer, modules = done.stdout.splitlines()
    assert (check(metrics)["function"], check(metrics)["OpenAlarms"]) == ("onnxlet-watch", 1)
    told = json.loads(answer)
    assert (told["watched"], told["windows"], told["events"], told["failed"]) == (["diagnosis"], 3, 1, {})
    assert json.loads(modules) == []
    assert [alarm.about for alarm in read_book(store, "diagnosis").alarms] == ["radius"]


def test_the_function_is_composition_only() -> None:
    assert len(APP.read_text().splitlines()) <= 25
