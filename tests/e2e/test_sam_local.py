"""`sam local invoke`: each function in a container, as SAM built it, with events as Lambda receives them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from e2e.stage import SAM, Document, Stage, event, http_event, run


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


def _columns(draft: Document) -> list[str]:
    (tabular,) = (step for step in draft["steps"] if step["kind"] == "tabular")
    return [column["name"] for column in tabular["columns"]]
