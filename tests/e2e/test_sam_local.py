"""`sam local invoke`: each function in a container, as SAM built it, with events as Lambda receives them."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from e2e.stage import BUCKET, SAM, Document, Stage, event, http_event, run
from onnxlet.monitor.alarms.ledger import read_book
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import read_baseline
from onnxlet.monitor.windows import part_key, write_part
from onnxlet.store import open_store
from onnxlet.values.timestamps import day_of, utc_now


def _invoke(stage: Stage, function: str, it: Document) -> Any:  # noqa: ANN401 - JSON
    path = stage.directory / "event.json"
    path.write_text(json.dumps(it))
    command = [str(SAM), "local", "invoke", function, "--template", str(stage.write_template()), "--event", str(path)]
    return json.loads(run([*command, "--skip-pull-image"], stage.environ, seconds=180))


def _predicted(stage: Stage, count: int) -> list[Document]:
    """What the same model says on this machine."""
    body = json.dumps({"instances": stage.rows[:count]})
    predictions: list[Document] = json.loads(stage.onnxlet("predict", "diagnosis", "-", "--json", stdin=body))[
        "predictions"
    ]
    return predictions


def test_predict_answers_as_this_machine_does(stage: Stage) -> None:
    answer = _invoke(stage, "Predict", http_event("/v1/models/diagnosis:predict", {"instances": stage.rows[:3]}))
    assert answer["statusCode"] == 200, answer
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    assert headers["x-onnxlet-model-version"] == "1"
    predictions = json.loads(answer["body"])["predictions"]
    for given, expected in zip(predictions, _predicted(stage, 3), strict=True):
        assert given["label"] == expected["label"]
        assert given["probability"] == pytest.approx(expected["probability"], abs=1e-5)


def test_predict_answers_a_direct_invocation(stage: Stage) -> None:
    answer = _invoke(stage, "Predict", {"model": "diagnosis", "instances": stage.rows[:1]})
    assert str(answer["model_version"]) == "1"
    assert answer["predictions"][0]["label"] in {"malignant", "benign"}


def test_predict_raises_to_who_invokes_it_directly(stage: Stage) -> None:
    answer = _invoke(stage, "Predict", {"model": "nobody", "instances": [[1.0]]})
    assert answer["errorType"] == "ModelNotFoundError"
    assert "nobody" in answer["errorMessage"]


def test_api_lists_the_models(stage: Stage) -> None:
    answer = _invoke(stage, "Api", event("api-models"))
    assert answer["statusCode"] == 200, answer
    assert "diagnosis" in answer["body"]


def test_score_writes_what_it_scored_beside_what_it_could_not(stage: Stage) -> None:
    it = event("score-sqs")
    key = json.loads(it["Records"][0]["body"])["detail"]["object"]["key"]
    converted = json.loads((stage.directory / "converted" / "draft.json").read_text())
    lines = io.StringIO()
    rows = csv.writer(lines)
    rows.writerow(_columns(converted))
    rows.writerows([*stage.rows[:5], ["no number"] * len(stage.rows[0])])
    stage.put(key, lines.getvalue().encode())
    assert _invoke(stage, "Score", it) == {"batchItemFailures": []}
    target = "batch/out/diagnosis/" + key.removeprefix("batch/in/diagnosis/")
    assert len(list(csv.DictReader(io.StringIO(stage.get(target).decode())))) == 5
    assert len(stage.get(target + ".errors.jsonl").splitlines()) == 1
    assert json.loads(stage.get(target + ".book.json"))["rows"]


def test_watch_merges_what_was_counted_and_tells_of_the_drift(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stage.environ.items():
        monkeypatch.setenv(name, value)
    store = open_store(f"s3://{BUCKET}")
    baseline = read_baseline(store, "diagnosis", 1)
    assert baseline is not None
    shifted = np.array(stage.rows, dtype=np.float32) * 10
    names = [column.name for column in baseline.columns]
    for ago in (2, 1):
        sketch = Sketch(baseline)
        sketch.fold({name: shifted[:, place] for place, name in enumerate(names)}, {})
        write_part(
            store, part_key("diagnosis", 1, day_of(utc_now() - timedelta(days=ago)), "e2e", 0), sketch.document()
        )
    answer = _invoke(stage, "Watch", event("watch-schedule"))
    assert (answer["watched"], answer["windows"], answer["failed"]) == (["diagnosis"], 2, {}), answer
    assert answer["events"] > 0
    assert read_book(store, "diagnosis").alarms
    assert b"<svg" in stage.get(f"sketches/reports/diagnosis/{answer['closed']}.html")
    assert _invoke(stage, "Watch", event("watch-schedule"))["events"] == 0


def _columns(draft: Document) -> list[str]:
    (tabular,) = (step for step in draft["steps"] if step["kind"] == "tabular")
    return [column["name"] for column in tabular["columns"]]
