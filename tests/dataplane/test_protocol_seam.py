"""A protocol that onnxlet does not have is added from outside, by a line in the table, and used like any other."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import plain_text.protocol
from doors import Shop
from onnxlet.controlplane.app import create_app
from onnxlet.dataplane.dispatch import MAX_REQUEST
from onnxlet.dataplane.lambda_events import handle
from onnxlet.dataplane.protocols import PROTOCOLS, Entry, open_inference, owns_path, tensorflow_serving
from onnxlet.dataplane.protocols.interface import WireProtocol
from onnxlet.dataplane.protocols.open_inference import protocol as open_inference_protocol
from onnxlet.dataplane.protocols.tensorflow_serving import protocol as tensorflow_serving_protocol
from onnxlet.local.dispatcher import create_asgi
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store

ENTRY = Entry("plain_text", ("/text/",))
EACH: dict[str, WireProtocol] = {
    "plain_text": plain_text.protocol,
    tensorflow_serving.__name__: tensorflow_serving_protocol,
    open_inference.__name__: open_inference_protocol,
}
"""What mypy holds to the interface."""


@pytest.fixture(autouse=True)
def _added() -> Iterator[None]:
    PROTOCOLS.append(ENTRY)
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


def test_it_is_told_of_an_event_that_cannot_be_read(shop: Shop) -> None:
    event = {
        "version": "2.0",
        "rawPath": "/text/echo",
        "requestContext": {"http": {"method": "POST"}, "stage": "$default"},
        "body": "abc",
        "isBase64Encoded": True,
    }
    answer = handle(shop.dataplane, event, None)
    assert (answer["statusCode"], answer["body"][:30]) == (400, "sorry: the event's body is not")


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
    with TestClient(create_asgi(settings)) as client:
        assert client.post("/text/echo", content="3").text == "3.0\n"
        assert client.post("/text/nobody", content="3").text == "sorry: no model named 'nobody'\n"


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
