"""A protocol that onnxlet does not have is added from outside, by a line in the table, and used like any other."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

import plain_text.protocol
from doors import Shop
from onnxlet.controlplane.app import create_app
from onnxlet.dataplane.dispatch import MAX_REQUEST, MAX_RESPONSE
from onnxlet.dataplane.lambda_events import handle
from onnxlet.dataplane.messages import Request
from onnxlet.dataplane.protocols import PROTOCOLS, ProtocolEntry, open_inference, owns_path, tensorflow_serving
from onnxlet.dataplane.protocols.interface import WireProtocol
from onnxlet.dataplane.protocols.open_inference import protocol as open_inference_protocol
from onnxlet.dataplane.protocols.tensorflow_serving import protocol as tensorflow_serving_protocol
from onnxlet.local.dispatcher import create_asgi
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store

EVENTS = Path(__file__).parents[1] / "events"
ENTRY = ProtocolEntry("plain_text", ("/text/",))
EACH: dict[str, WireProtocol] = {
    "plain_text": plain_text.protocol,
    tensorflow_serving.__name__: tensorflow_serving_protocol,
    open_inference.__name__: open_inference_protocol,
}
"""What mypy holds to the interface."""


@pytest.fixture(autouse=True)
def _added() -> Iterator[None]:
    PROTOCOLS.append(ENTRY)
    plain_text.protocol.closed.clear()
    yield
    PROTOCOLS.remove(ENTRY)


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A store with a model that echoes."""
    shop = Shop(store, tmp_path)
    shop.publish_echo("echo", "FP32", -1)
    return shop


def test_the_table_names_every_protocol() -> None:
    assert {entry.package for entry in PROTOCOLS} == EACH.keys()


def test_its_paths_are_the_data_planes() -> None:
    assert owns_path("/text/echo")
    assert not owns_path("/texts")


def test_it_answers(shop: Shop) -> None:
    response = shop.send("POST", "/text/echo", "1.5\n2\n")
    assert (response.status, response.body) == (200, b"1.5\n2.0\n")
    assert response.headers["X-Onnxlet-Model-Version"] == "1"


def test_whatever_goes_wrong_is_said_in_its_own_words(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    for body, headers, status, said in (
        ("one", {}, 400, "sorry: could not convert"),
        ("1", {"content_encoding": "br"}, 400, "sorry: content-encoding 'br' is not known here"),
        (b" " * (MAX_REQUEST + 1), {}, 413, "sorry: request too large"),
        ("crash", {}, 500, "sorry: internal error\n"),
    ):
        response = shop.send("POST", "/text/echo", body, **headers)
        assert (response.status, response.headers["Content-Type"]) == (status, plain_text.protocol.TEXT)
        assert response.body.decode().startswith(said)
    assert "nobody foresaw this" in caplog.text
    for path, said in (("/text/nobody", "sorry: no model named 'nobody'\n"), ("/text/a/b", "sorry: nothing answers")):
        response = shop.send("POST", path, "1")
        assert (response.status, response.body.decode().startswith(said)) == (404, True)


def event(name: str, body: str, query: str = "", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - an event's values
    """An event of tests/events that asks for /text/echo."""
    loaded: dict[str, Any] = json.loads((EVENTS / f"predict-{name}.json").read_text())
    path = {"rawPath": "/text/echo", "rawQueryString": query} if "rawPath" in loaded else {"path": "/text/echo"}
    if "path" in path and query:
        path["queryStringParameters"] = {query: ""}  # type: ignore[assignment] # the only value that is no text
    return loaded | path | {"body": body, "isBase64Encoded": False} | changes


def test_it_is_told_of_an_event_that_cannot_be_read(shop: Shop) -> None:
    answer = handle(shop.dataplane, event("http-api", "abc", isBase64Encoded=True), None)
    assert (answer["statusCode"], answer["body"][:30]) == (400, "sorry: the event's body is not")


@pytest.mark.parametrize("name", ["http-api", "function-url", "alb", "rest-api"])
def test_a_stream_is_refused_by_lambda_in_the_protocols_own_words(shop: Shop, name: str) -> None:
    answer = handle(shop.dataplane, event(name, "1\n2", "stream"), None)
    assert (answer["statusCode"], answer["body"]) == (
        406,
        "sorry: a stream cannot be answered here: ask for the whole answer at once\n",
    )
    assert answer["headers"]["Content-Type"] == plain_text.protocol.TEXT
    assert answer["headers"]["X-Onnxlet-Model-Version"] == "1"


def test_bytes_that_are_no_text_are_refused_by_a_rest_api_that_declares_no_binary_types(shop: Shop) -> None:
    numbers = np.array([1.0, -2.5], np.float32).tobytes()
    for name in ("http-api", "function-url", "alb"):
        answer = handle(shop.dataplane, event(name, "1\n-2.5", "bytes"), None)
        assert (answer["isBase64Encoded"], base64.b64decode(answer["body"])) == (True, numbers)
        assert answer["headers"]["Content-Type"] == plain_text.protocol.BYTES
    asked = event("rest-api", "1\n-2.5", "bytes")
    refused = handle(shop.dataplane, asked, None)
    assert (refused["statusCode"], refused["isBase64Encoded"]) == (406, False)
    assert refused["body"].startswith("sorry: this REST API does not carry bytes that are no text")
    assert "ONNXLET_REST_BINARY" in refused["body"]
    assert refused["headers"]["Content-Type"] == plain_text.protocol.TEXT
    declared = handle(shop.dataplane, asked, None, rest_binary=True)
    assert (declared["isBase64Encoded"], base64.b64decode(declared["body"])) == (True, numbers)
    # an HTTP API that speaks the old payload decodes base64 as ever
    assert handle(shop.dataplane, asked | {"version": "1.0"}, None)["isBase64Encoded"]


def test_bytes_that_base64_makes_too_long_for_lambda_are_refused(shop: Shop) -> None:
    fitting = MAX_RESPONSE * 3 // 4 // 4
    for count, status in ((fitting, 200), (fitting + 2, 413)):
        response = shop.dataplane.answer(Request("POST", "/text/echo", "bytes", {}, b"1\n" * count))
        assert response.status == status
    assert (response.text() or "").startswith("sorry: response too large")


def test_a_stream_is_not_made_for_head(shop: Shop) -> None:
    response = shop.dataplane.answer(Request("HEAD", "/text/echo", "stream", {}, b"1"))
    assert (response.status, response.body) == (200, b"")


def test_a_protocol_that_fails_to_refuse_still_gets_an_answer(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plain_text.protocol, "refuse", None)
    with caplog.at_level(logging.ERROR):
        response = shop.send("POST", "/text/nobody", "1")
    assert (response.status, response.body) == (500, b'{"error":"internal error"}')
    assert "unforeseen error" in caplog.text


def test_the_local_server_hands_it_its_paths(directory_url: str, tmp_path: Path) -> None:
    Shop(open_store(directory_url), tmp_path / "shop").publish_echo("echo", "FP32", -1)
    settings = Settings(store=directory_url, cache_dir=str(tmp_path / "cache"))
    with TestClient(create_asgi(settings), base_url="http://localhost") as client:
        assert client.post("/text/echo", content="3").text == "3.0\n"
        assert client.post("/text/nobody", content="3").text == "sorry: no model named 'nobody'\n"
        assert client.post("/text/echo?stream", content="1\n2").text == "1.0\n2.0\n"
        head = client.head("/text/echo?stream")
        assert (head.status_code, head.content) == (200, b"")


def test_it_is_described(store: Store) -> None:
    with TestClient(create_app(Settings(), Registry(store))) as client:
        document = client.get("/openapi.json").json()
    assert document["paths"]["/text/{model}"]["post"]["operationId"] == "predictText"
    assert "Lines" in document["components"]["schemas"]


def test_describing_the_protocols_loads_none_of_them() -> None:
    program = """
import sys
from onnxlet.controlplane.openapi import complete
complete({"paths": {}})
print(*(name for name in sys.modules if name == "numpy" or name.endswith(".protocol")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
