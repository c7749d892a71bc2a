"""Without containers: Lambda's Runtime Interface Emulator and its real Python runtime client, on what SAM built."""

from __future__ import annotations

import base64
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from e2e.stage import BUILD, REPOSITORY, Stage, event, free_port, http_event, running, wait_for

HOST = "127.0.0.1"
RUNTIME = REPOSITORY / ".tools" / "runtime"
"""awslambdaric, which on Lambda is part of the runtime."""


@pytest.fixture(scope="session", name="emulator")
def copied_emulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The emulator from SAM CLI's own package, made executable."""
    machine = platform.machine().replace("aarch64", "arm64")
    (packaged,) = (REPOSITORY / ".tools").glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
    copied = Path(shutil.copy(packaged, tmp_path_factory.mktemp("emulator")))
    copied.chmod(0o755)
    return copied


@contextmanager
def _emulated(emulator: Path, stage: Stage, function: str) -> Iterator[str]:
    """The address of a function that runs as on Lambda: its own code, its layers, then the runtime's packages."""
    resources = yaml.safe_load((BUILD / "template.yaml").read_text())["Resources"]
    named = resources[function]["Properties"]["Layers"]
    if "Fn::If" in named:
        named = named["Fn::If"][2]  # without those that are asked for
    layers = [BUILD / layer["Ref"] / "python" for layer in named]
    path = os.pathsep.join(map(str, [BUILD / function, *layers, RUNTIME]))
    facts = {"AWS_LAMBDA_FUNCTION_NAME": function, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "PYTHONPATH": path}
    port, runtime_port = free_port(HOST), free_port(HOST)
    command = [str(emulator), "--log-level", "error"]
    command += ["--runtime-interface-emulator-address", f"{HOST}:{port}"]
    command += ["--runtime-api-address", f"{HOST}:{runtime_port}"]
    command += [os.environ["LAMBDA_PYTHON"], "-m", "awslambdaric", "app.handler"]
    log = stage.directory / f"emulator-{function}.log"
    with running(command, stage.environ | facts, log, BUILD / function) as process:
        wait_for(HOST, port, process, log, seconds=30)
        yield f"http://{HOST}:{port}/2015-03-31/functions/function/invocations"


def _invoke(address: str, it: object) -> Any:  # noqa: ANN401 - JSON
    answer = requests.post(address, data=json.dumps(it), timeout=60)
    answer.raise_for_status()
    return answer.json()


@pytest.fixture(scope="module")
def predict(emulator: Path, stage: Stage) -> Iterator[str]:
    with _emulated(emulator, stage, "Predict") as address:
        yield address


def test_predict_answers_cold_and_warm(stage: Stage, predict: str) -> None:
    it = http_event("/v1/models/diagnosis:predict", {"instances": stage.rows[:2]})
    cold, warm = _invoke(predict, it), _invoke(predict, it)
    assert cold["statusCode"] == warm["statusCode"] == 200, cold
    assert cold["body"] == warm["body"]
    assert "Server-Timing" in cold["headers"]
    assert "Server-Timing" not in warm["headers"]


def test_predict_reads_a_body_in_base64(stage: Stage, predict: str) -> None:
    it = http_event("/v1/models/diagnosis:predict", {"instances": stage.rows[:1]})
    it["headers"].pop("content-type", None)
    encoded = it | {"body": base64.b64encode(it["body"].encode()).decode(), "isBase64Encoded": True}
    assert _invoke(predict, encoded)["statusCode"] == 200


def test_predict_raises_to_who_invokes_it_directly(predict: str) -> None:
    answer = _invoke(predict, {"model": "nobody", "instances": [[1.0]]})
    assert answer["errorType"] == "ModelNotFoundError"


def test_api_shows_a_model_and_misses_another(emulator: Path, stage: Stage) -> None:
    with _emulated(emulator, stage, "Api") as address:
        assert _invoke(address, event("api-models"))["statusCode"] == 200
        assert _invoke(address, event("api-unknown-model"))["statusCode"] == 404


def test_score_reports_a_message_that_failed(emulator: Path, stage: Stage) -> None:
    it = event("score-sqs")
    it["Records"][0]["body"] = it["Records"][0]["body"].replace("batch/in/diagnosis/", "batch/in/nobody/")
    with _emulated(emulator, stage, "Score") as address:
        failed = _invoke(address, it)["batchItemFailures"]
    assert failed == [{"itemIdentifier": it["Records"][0]["messageId"]}]
