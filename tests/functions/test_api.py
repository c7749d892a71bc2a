"""The control plane's Lambda function: real events in, whole answers out."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from registries import publish

FUNCTION = Path(__file__).parents[2] / "functions" / "api" / "app.py"
EVENTS = Path(__file__).parents[1] / "events"
CONTEXT = SimpleNamespace(aws_request_id="8f507cfc-xmpl-4697-b07a-ac58fc914c95")
ARN = "arn:aws:iam::123456789012:user/ada"

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


@pytest.fixture
def registry(directory_url: str, tmp_path: Path) -> Registry:
    """A registry with two versions of `diagnosis`."""
    registry = Registry(open_store(directory_url), who="tests")
    publish(registry, tmp_path / "model", "diagnosis", b"one")
    publish(registry, tmp_path / "model", "diagnosis", b"two")
    return registry


@contextmanager
def loaded() -> Iterator[Handler]:
    """The function's handler, loaded as Lambda does it."""
    spec = importlib.util.spec_from_file_location("api_function", FUNCTION)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.handler
    asyncio.set_event_loop(None)
    module._loop.close()  # noqa: SLF001 - it lives as long as its process


@pytest.fixture
def handler(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handler]:
    """The handler over the registry, for the API that the events come from."""
    monkeypatch.setenv("ONNXLET_STORE", registry.store.url)
    monkeypatch.setenv("ONNXLET_API_ID", "abcdef1234")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "api")
    with loaded() as handler:
        yield handler


def event(name: str) -> dict[str, Any]:
    """The event `api-<name>.json`."""
    loaded: dict[str, Any] = json.loads((EVENTS / f"api-{name}.json").read_text())
    return loaded


def test_an_http_api_event_is_answered_whole(handler: Handler) -> None:
    assert handler(event("models"), CONTEXT) == {
        "statusCode": 200,
        "headers": {
            "content-length": "24",
            "content-type": "application/json",
            "x-onnxlet-request-id": CONTEXT.aws_request_id,
        },
        "body": '{"models":["diagnosis"]}',
        "isBase64Encoded": False,
    }


def test_a_problem_is_text_and_not_base64(handler: Handler) -> None:
    detail = "no model named 'nobody'"
    body = {
        "type": "/problems/model-not-found",
        "title": "Model not found",
        "status": 404,
        "detail": detail,
        "instance": "/registry/models/nobody",
        "model": "nobody",
        "error": detail,
    }
    text = json.dumps(body)
    assert handler(event("unknown-model"), CONTEXT) == {
        "statusCode": 404,
        "headers": {
            "content-length": str(len(text)),
            "content-type": "application/problem+json",
            "x-onnxlet-request-id": CONTEXT.aws_request_id,
        },
        "body": text,
        "isBase64Encoded": False,
    }


def test_the_callers_identity_is_kept_in_the_history(handler: Handler, registry: Registry) -> None:
    promoted = handler(event("promote"), None)
    assert promoted["statusCode"] == 201
    assert promoted["headers"]["etag"] == f'"{registry.alias("diagnosis")[1]}"'
    moving = event("promote") | {"body": '{"version": 2, "why": "smaller"}'}
    moving["headers"] = moving["headers"] | {"if-match": promoted["headers"]["etag"]}
    del moving["headers"]["if-none-match"]
    assert handler(moving, None)["statusCode"] == 200
    rolled_back = handler(event("rollback-rest"), None)
    assert (rolled_back["statusCode"], rolled_back["isBase64Encoded"]) == (200, False)
    assert json.loads(rolled_back["body"])["routes"][0]["version"] == 1
    history = json.loads(handler(event("history"), None)["body"])
    assert [(entry["who"], entry["why"]) for entry in history["entries"]] == [
        ("ada (https://id.example)", "recall 0.98 on the held-out set"),
        ("ada (https://id.example)", "smaller"),
        (ARN, "drift in texture_mean"),
    ]
    assert history["verified"] == 3


def test_a_body_in_base64_is_decoded(handler: Handler, registry: Registry) -> None:
    assert handler(event("promote-base64"), None)["statusCode"] == 201
    assert registry.alias("diagnosis", "candidate")[0].entry.why == "smaller"


def test_a_condition_that_is_lost_is_412(handler: Handler) -> None:
    handler(event("promote"), None)
    answer = handler(event("promote"), None)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (412, "application/problem+json")


@pytest.mark.parametrize("sender", ["other-api", "function-url", "alb"])
def test_what_another_api_hands_on_is_refused_and_changes_nothing(
    handler: Handler, registry: Registry, sender: str
) -> None:
    detail = "this function answers the API 'abcdef1234' alone: send the request there"
    answer = handler(event(sender), None)
    assert answer["statusCode"] == 403
    assert answer["headers"] == {"content-type": "application/problem+json"}
    assert json.loads(answer["body"]) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": detail,
        "error": detail,
    }
    assert registry.aliases("diagnosis") == {}


@pytest.mark.parametrize("junk", [{}, {"requestContext": None}, {"requestContext": "abcdef1234"}], ids=str)
def test_what_no_api_sends_is_refused(handler: Handler, junk: dict[str, Any]) -> None:
    assert handler(junk, None)["statusCode"] == 403


def test_whoever_may_invoke_the_function_itself_governs_under_any_name(handler: Handler, registry: Registry) -> None:
    """No check in the function can help against that, so nobody but the API is granted it: tests/infra."""
    forged = event("promote")
    forged["requestContext"]["authorizer"] = {"iam": {"userArn": "arn:aws:iam::123456789012:user/somebody-else"}}
    assert handler(forged, None)["statusCode"] == 201
    assert registry.alias("diagnosis")[0].entry.who == "arn:aws:iam::123456789012:user/somebody-else"


def test_sam_local_whose_events_come_from_no_api_is_answered(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONNXLET_STORE", registry.store.url)
    monkeypatch.setenv("ONNXLET_API_ID", "HttpApi")
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    with loaded() as handler:
        assert handler(event("models"), None)["statusCode"] == 200


def test_another_event_loop_in_the_process_does_no_harm(handler: Handler) -> None:
    asyncio.run(asyncio.sleep(0))
    assert handler(event("models"), None)["statusCode"] == 200


def test_the_function_imports_no_engine_and_no_array() -> None:
    program = """
import json, pathlib, runpy, sys, warnings
warnings.simplefilter("error")
handler = runpy.run_path(sys.argv[1])["handler"]
assert handler(json.loads(pathlib.Path(sys.argv[2]).read_text()), None)["statusCode"] == 200
forbidden = {"onnxruntime", "numpy", "onnx", "boto3", "botocore", "click", "uvicorn", "simdjson", "onnxlet.serving"}
found = sorted(forbidden & set(sys.modules))
sys.exit(f"imported: {found}" if found else 0)
"""
    command = [sys.executable, "-c", program, str(FUNCTION), str(EVENTS / "api-models.json")]
    environ = os.environ | {"ONNXLET_STORE": "memory://api", "AWS_LAMBDA_FUNCTION_NAME": "api"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_function_only_composes() -> None:
    assert len(FUNCTION.read_text().splitlines()) <= 25
