"""Without containers: Lambda's Runtime Interface Emulator and its real Python runtime client, on what SAM built."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.emulator import Emulated, emulated
from e2e.stage import Stage, event, http_event


@pytest.fixture(scope="module")
def predict(emulator: Path, stage: Stage) -> Iterator[Emulated]:
    with emulated(emulator, stage, "Predict") as function:
        yield function


def test_predict_answers_cold_and_warm(stage: Stage, predict: Emulated) -> None:
    it = http_event("/v1/models/diagnosis:predict", {"instances": stage.rows[:2]})
    cold, warm = predict.invoke(it), predict.invoke(it)
    assert cold["statusCode"] == warm["statusCode"] == 200, cold
    assert cold["body"] == warm["body"]
    assert "Server-Timing" in cold["headers"]
    assert "Server-Timing" not in warm["headers"]


def test_predict_reads_a_body_in_base64(stage: Stage, predict: Emulated) -> None:
    it = http_event("/v1/models/diagnosis:predict", {"instances": stage.rows[:1]})
    it["headers"].pop("content-type", None)
    encoded = it | {"body": base64.b64encode(it["body"].encode()).decode(), "isBase64Encoded": True}
    assert predict.invoke(encoded)["statusCode"] == 200


def test_predict_raises_to_who_invokes_it_directly(predict: Emulated) -> None:
    answer = predict.invoke({"model": "nobody", "instances": [[1.0]]})
    assert answer["errorType"] == "ModelNotFoundError"


def test_api_shows_a_model_and_misses_another(emulator: Path, stage: Stage) -> None:
    with emulated(emulator, stage, "Api") as api:
        assert api.invoke(event("api-models"))["statusCode"] == 200
        assert api.invoke(event("api-unknown-model"))["statusCode"] == 404


def test_score_reports_a_message_that_failed(emulator: Path, stage: Stage) -> None:
    it = event("score-sqs")
    it["Records"][0]["body"] = it["Records"][0]["body"].replace("batch/in/diagnosis/", "batch/in/nobody/")
    with emulated(emulator, stage, "Score") as score:
        failed = score.invoke(it)["batchItemFailures"]
    assert failed == [{"itemIdentifier": it["Records"][0]["messageId"]}]
