"""`sam local start-api`: the template's routes with its default parameters, asked by curl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from e2e.stage import SAM, Stage, free_port, running, wait_for

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def url(stage: Stage) -> Iterator[str]:
    port = free_port(HOST)
    log = stage.directory / "start-api.log"
    command = [
        str(SAM),
        "local",
        "start-api",
        "--template",
        str(stage.write_template()),
        "--skip-pull-image",
        "--no-watch",
    ]
    command += ["--warm-containers", "LAZY", "--host", HOST, "--port", str(port)]
    with running(command, stage.environ, log) as server:
        wait_for(HOST, port, server, log, seconds=60)
        yield f"http://{HOST}:{port}"


def _curl(*arguments: str) -> tuple[int, str]:
    command = ["curl", "--silent", "--show-error", "--max-time", "120", "--write-out", "\n%{http_code}", *arguments]
    body, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), body


def test_a_prediction(stage: Stage, url: str) -> None:
    body = json.dumps({"instances": stage.rows[:2]})
    status, answer = _curl("--json", body, f"{url}/v1/models/diagnosis:predict")
    assert status == 200, answer
    assert [one["label"] in {"malignant", "benign"} for one in json.loads(answer)["predictions"]] == [True, True]


def test_a_prediction_by_version_and_by_label(stage: Stage, url: str) -> None:
    body = json.dumps({"instances": stage.rows[:1]})
    by_version = _curl("--json", body, f"{url}/v1/models/diagnosis/versions/1:predict")
    assert by_version == _curl("--json", body, f"{url}/v1/models/diagnosis/labels/production:predict")
    assert by_version[0] == 200


def test_a_prediction_whose_body_arrives_in_base64(stage: Stage, url: str) -> None:
    body = json.dumps({"instances": stage.rows[:1]})
    status, answer = _curl("--header", "Content-Type:", "--data", body, f"{url}/v1/models/diagnosis:predict")
    assert status == 200, answer


def test_an_inference(stage: Stage, url: str) -> None:
    tensor = {"name": "features", "datatype": "FP32", "shape": [2, 30], "data": stage.rows[:2]}
    for path in ("diagnosis", "diagnosis/versions/1", "diagnosis@production"):
        status, answer = _curl("--json", json.dumps({"id": "42", "inputs": [tensor]}), f"{url}/v2/models/{path}/infer")
        assert status == 200, answer
        document = json.loads(answer)
        assert (document["id"], document["model_name"], document["model_version"]) == ("42", "diagnosis", "1")
        labels = next(output for output in document["outputs"] if output["name"] == "label")
        assert (labels["datatype"], labels["shape"]) == ("BYTES", [2])
        assert {*labels["data"]} <= {"malignant", "benign"}
    status, answer = _curl(
        "--json", json.dumps({"inputs": [tensor | {"shape": [1, 30]}]}), f"{url}/v2/models/diagnosis/infer"
    )
    assert (status, list(json.loads(answer))) == (400, ["error"])


def test_metadata_and_readiness_of_server_and_model(url: str) -> None:
    assert json.loads(_curl(f"{url}/v2")[1])["name"] == "onnxlet"
    assert json.loads(_curl(f"{url}/v2/models/diagnosis")[1])["versions"] == ["1"]
    assert _curl(f"{url}/v2/models/diagnosis/ready") == (200, '{"name":"diagnosis","ready":true}')
    assert _curl(f"{url}/v2/models/nobody/ready")[0] == 404


def test_a_bad_request(url: str) -> None:
    status, answer = _curl("--json", '{"instances": [["no number"]]}', f"{url}/v1/models/diagnosis:predict")
    assert status == 400
    assert json.loads(answer).keys() == {"error"}


def test_an_unknown_model(url: str) -> None:
    status, answer = _curl("--json", '{"instances": [[1.0]]}', f"{url}/v1/models/nobody:predict")
    assert status == 404
    assert "nobody" in json.loads(answer)["error"]


def test_readiness(url: str) -> None:
    assert _curl(f"{url}/v2/health/ready")[0] == 200


def test_the_registry(url: str) -> None:
    status, answer = _curl(f"{url}/registry/models/diagnosis")
    assert status == 200, answer
    assert json.loads(answer)
    assert _curl(f"{url}/registry/models/nobody")[0] == 404
    assert "/registry/models" in json.loads(_curl(f"{url}/openapi.json")[1])["paths"]


def test_the_registry_is_changed_through_the_route_of_the_other_methods(url: str) -> None:
    alias = f"{url}/registry/models/diagnosis/aliases/candidate"
    promoting = ("--request", "PUT", "--header", "If-None-Match: *", "--json", '{"version": 1, "why": "to try it"}')
    status, answer = _curl(*promoting, alias)
    assert status == 201, answer
    assert json.loads(_curl(alias)[1])["entry"]["why"] == "to try it"
