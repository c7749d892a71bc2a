"""What all protocols share: sizes, compression, methods, and errors whoever makes them."""

from __future__ import annotations

import gzip
import json
import logging
import re
import shutil
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from onnx import helper

from doors import Shop, spec
from models import tiny
from onnxlet import errors
from onnxlet.dataplane.dispatch import MAX_REQUEST, MAX_RESPONSE, DataPlane
from onnxlet.dataplane.lambda_events import to_event_answer
from onnxlet.dataplane.messages import Request
from onnxlet.dataplane.protocols import answers_immediately, owns_path
from onnxlet.dataplane.protocols.tensorflow_serving import protocol as tfserving
from onnxlet.errors import OnnxletError
from onnxlet.serving.golden import decode_cases, encode_cases
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store
from onnxlet.values.aliases import Route, decode_alias, encode
from onnxlet.values.keys import alias_key
from onnxlet.values.refs import Ref

BODY = b'{"instances": [1]}'


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A store with a model that echoes and one that answers much."""
    shop = Shop(store, tmp_path)
    shop.publish_echo("echo", "FP32", -1)
    return shop


def publish_flood(shop: Shop) -> None:
    """Publish a model that answers 100,000 numbers for each."""
    shop.publish(
        "flood",
        [spec("x", "FP32", -1, 1)],
        [spec("y", "FP32", -1, 100_000)],
        [
            helper.make_node("Constant", [], ["shape"], value_ints=[1, 100_000]),
            helper.make_node("Expand", ["x", "shape"], ["y"]),
        ],
    )


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        ("/v1/models/m:predict", True),
        ("/V1/models/m:predict", True),
        ("/v2/health/ready", True),
        ("/v2", True),
        ("/invocations", True),
        ("/ping", True),
        ("/models/m/invoke", True),
        ("/openai/v1/embeddings", True),
        ("/registry/models", False),
        ("/docs", False),
        ("/", False),
        ("/pingpong", False),
    ],
)
def test_it_knows_its_own_paths(path: str, owned: bool) -> None:
    assert owns_path(path) is owned


def test_it_knows_which_answers_wait_for_nothing() -> None:
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/m", "/v1/models/m", "/nothing"):
        assert answers_immediately(path) is (path in ("/v2", "/v2/health/live"))


def test_a_path_that_nothing_answers_is_not_found(shop: Shop) -> None:
    response = shop.send("GET", "/v2/nothing")
    assert (response.status, json.loads(response.body)) == (404, {"error": "nothing answers at '/v2/nothing'"})


def test_live_and_ready_are_said(shop: Shop) -> None:
    assert json.loads(shop.send("GET", "/v2/health/live").body) == {"live": True}
    assert json.loads(shop.send("GET", "/v2/health/ready").body) == {"ready": True}
    wrong = shop.send("POST", "/v2/health/live")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, HEAD")


def test_head_answers_without_a_body(shop: Shop) -> None:
    for path, status in (
        ("/v2/health/live", 200),
        ("/v1/models/echo", 200),
        ("/v1/models/no", 404),
        ("/v1/x", 400),
        ("/x", 404),
    ):
        response = shop.send("HEAD", path)
        assert (response.status, response.body) == (status, b"")


def test_options_answers_origins_without_allowing_them(shop: Shop) -> None:
    response = shop.send("OPTIONS", "/v1/models/echo:predict", origin="https://example.com")
    assert (response.status, response.body) == (200, b"")
    assert list(response.headers) == ["Allow", "X-Onnxlet-Request-Id"]
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    for path, status in (("/v1/models/echo:predict", 400), ("/v2/models/echo/infer", 405)):
        refused = shop.send("OPTIONS", path)
        assert (refused.status, refused.headers["Allow"]) == (status, "GET, HEAD, OPTIONS, POST")


# --- compression and sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
def test_bodies_may_come_compressed(shop: Shop, encoding: str) -> None:
    for body in (gzip.compress(BODY), gzip.compress(BODY[:5]) + gzip.compress(BODY[5:])):
        assert shop.predict("echo", body, content_encoding=encoding).body == b'{"predictions":[1.0]}'


def test_a_body_of_another_encoding_is_refused(shop: Shop) -> None:
    assert shop.predict("echo", BODY, content_encoding="identity").status == 200
    for body, encoding, said in (
        (BODY, "br", "content-encoding 'br' is not known here"),
        (BODY, "gzip", "the body is not gzip"),
        (gzip.compress(BODY, mtime=0)[:-9], "gzip", "ends too soon"),
        (gzip.compress(BODY, mtime=0) + b"more", "gzip", "the body is not gzip"),
        (gzip.compress(BODY, mtime=0) * 65, "gzip", "the gzip body has more than 64 members"),
        (b"", "gzip", "the body is not JSON"),
    ):
        response = shop.predict("echo", body, content_encoding=encoding)
        assert response.status == 400
        assert said in json.loads(response.body)["error"]


def test_a_body_over_the_limit_is_refused_before_and_after_decompression(shop: Shop) -> None:
    large = b" " * (MAX_REQUEST + 1)
    for body, headers in ((large, {}), (gzip.compress(large), {"content_encoding": "gzip"})):
        response = shop.predict("echo", body, **headers)
        assert response.status == 413
        assert json.loads(response.body)["error"].startswith("request too large: at most 6,000,000 bytes")
    assert shop.predict("echo", BODY + b" " * (MAX_REQUEST - len(BODY))).status == 200


def test_a_gzip_bomb_is_not_blown_up(shop: Shop) -> None:
    stream = zlib.compressobj(wbits=31)
    bomb = b"".join(stream.compress(b"\0" * 2**20) for _ in range(60)) + stream.flush()
    assert len(bomb) < 2**17
    tracemalloc.start()
    try:
        assert shop.predict("echo", bomb, content_encoding="gzip").status == 413
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_REQUEST
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
    ],
)
def test_answers_are_compressed_for_those_who_take_it(shop: Shop, accepted: str, compressed: bool) -> None:
    body = json.dumps({"instances": [0.5] * 20_000})
    response = shop.predict("echo", body, accept_encoding=accepted)
    assert ("Content-Encoding" in response.headers) is compressed
    plain = gzip.decompress(response.body) if compressed else response.body
    assert json.loads(plain) == {"predictions": [0.5] * 20_000}


def test_an_answer_over_the_limit_says_what_to_do_instead(shop: Shop) -> None:
    publish_flood(shop)
    body = json.dumps({"instances": [[0.12345678]] * 6})
    response = shop.predict("flood", body)
    assert response.status == 413
    assert "response too large" in response.body.decode()
    assert "send fewer rows per call, ask for fewer outputs, accept gzip, or score a file" in response.body.decode()
    assert response.headers["X-Onnxlet-Model-Version"] == "1"
    assert shop.predict("flood", body, accept_encoding="gzip").status == 200
    assert len(shop.predict("flood", json.dumps({"instances": [[0.5]]})).body) < MAX_RESPONSE
    with pytest.raises(errors.ResponseTooLargeError):
        shop.dataplane.invoke({"model": "flood", **json.loads(body)})


def test_an_answer_whose_quotes_lambda_would_escape_beyond_its_limit_is_refused(shop: Shop) -> None:
    shop.publish(
        "words",
        [spec("x", "BYTES", -1, 1)],
        [spec("y", "BYTES", -1, 100_000)],
        [
            helper.make_node("Constant", [], ["shape"], value_ints=[1, 100_000]),
            helper.make_node("Expand", ["x", "shape"], ["y"]),
        ],
    )
    response = shop.predict("words", json.dumps({"instances": [["benign"]] * 6}))
    assert response.status == 413
    answered = shop.predict("words", json.dumps({"instances": [["benign"]] * 5}))
    assert answered.status == 200
    event = to_event_answer(answered, {"requestContext": {"http": {}}})
    assert len(json.dumps(event, ensure_ascii=False)) < 6_291_556


def test_what_a_direct_invocation_raises_repeats_no_value_of_the_input(shop: Shop) -> None:
    shop.publish(
        "embedder",
        [spec("ids", "INT64", -1)],
        [spec("y", "FP32", -1, 2)],
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        weights={"table": np.zeros((3, 2), np.float32)},
    )
    assert "777" in shop.predict("embedder", '{"instances": [777]}').body.decode()
    with pytest.raises(errors.ExecutionError) as error:
        shop.dataplane.invoke({"model": "embedder", "instances": [777]})
    assert "777" not in f"{error.value}{error.value.__cause__}"


# --- answers say where they come from ---------------------------------------------------------------------------------


def test_a_cold_answer_says_what_took_how_long(shop: Shop) -> None:
    cold, warm = shop.predict("echo", BODY), shop.predict("echo", BODY)
    stages = re.findall(r"(\w+);dur=(\d+\.\d)", cold.headers["Server-Timing"])
    assert [name for name, _ in stages] == ["fetch", "load", "run", "total"]
    assert "Server-Timing" not in warm.headers
    assert warm.headers["X-Onnxlet-Model-Version"] == cold.headers["X-Onnxlet-Model-Version"] == "1"


def test_an_error_names_the_version_that_it_was_meant_for(shop: Shop) -> None:
    assert shop.predict("echo", "{}").headers["X-Onnxlet-Model-Version"] == "1"


def test_an_alias_moved_in_the_store_is_followed_after_its_ttl(store: Store, tmp_path: Path) -> None:
    shop = Shop(store, tmp_path)
    plane = DataPlane(Predictor(store, Settings(alias_ttl=0.0, cache_dir=str(tmp_path / "other"))))
    request = Request("POST", "/v1/models/echo:predict", body=BODY)
    for version in ("1", "2"):
        shop.publish_echo("echo", "FP32", -1)
        assert plane.answer(request).headers["X-Onnxlet-Model-Version"] == version


# --- when things break ------------------------------------------------------------------------------------------------


@pytest.fixture
def lost(directory_url: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose store goes away after it was filled."""
    shop = Shop(open_store(directory_url), tmp_path / "shop")
    shop.publish_echo("echo", "FP32", -1)
    root = tmp_path / "store"
    shutil.rmtree(root)
    root.write_text("no directory any more")
    yield shop
    root.unlink()


def test_a_store_that_does_not_answer_is_said_to_be_so_and_no_more(lost: Shop) -> None:
    for response in (lost.predict("echo", BODY), lost.send("GET", "/v1/models/echo")):
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert json.loads(response.body) == {"error": "the model store does not answer: try again later"}
    ready = lost.send("GET", "/v2/health/ready")
    assert (ready.status, json.loads(ready.body)) == (503, {"ready": False})
    assert ready.headers["Retry-After"] == "1"
    assert lost.send("GET", "/v2/health/live").status == 200


def test_a_tampered_artifact_is_never_served_and_the_error_names_the_digest(directory_url: str, tmp_path: Path) -> None:
    shop = Shop(open_store(directory_url), tmp_path / "shop")
    shop.publish_echo("echo", "FP32", -1)
    [graph] = (tmp_path / "store").rglob("model.onnx")
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    response = shop.predict("echo", BODY)
    assert response.status == 500
    assert "sha256:" in json.loads(response.body)["error"]


def test_a_stale_answer_says_so(directory_url: str, tmp_path: Path) -> None:
    shop = Shop(open_store(directory_url), tmp_path / "shop")
    shop.publish_echo("echo", "FP32", -1)
    settings = Settings(alias_ttl=0.0, cache_dir=str(tmp_path / "cache"))
    plane = DataPlane(Predictor(open_store(directory_url), settings))
    request = Request("POST", "/v1/models/echo:predict", body=BODY)
    assert "X-Onnxlet-Stale" not in plane.answer(request).headers
    root = tmp_path / "store"
    shutil.rmtree(root)
    root.write_text("no directory any more")
    stale = plane.answer(request)
    assert (stale.status, stale.headers["X-Onnxlet-Stale"]) == (200, "true")
    assert plane.invoke({"model": "echo", "instances": [1.0]})["stale"] is True
    root.unlink()


def test_an_answer_of_the_version_before_says_so(store: Store, tmp_path: Path) -> None:
    shop = Shop(store, tmp_path / "shop")
    draft, files = tiny.classifier_package(tmp_path / "package")
    tiny.publish(store, "diagnosis", (draft, files))
    [case, *_] = decode_cases(files["golden.json"].read_bytes())
    case.outputs["probabilities"] = case.outputs["probabilities"][:, ::-1]
    files["golden.json"].write_bytes(encode_cases([case]))
    tiny.publish(store, "diagnosis", (draft, files))
    response = shop.predict("diagnosis", b'{"instances": [[1, 2, 3]]}')
    assert (response.status, response.headers["X-Onnxlet-Fallback"]) == (200, "true")
    assert response.headers["X-Onnxlet-Model-Version"] == "1"


def test_callers_with_one_routing_key_get_one_version(shop: Shop, store: Store) -> None:
    shop.publish_echo("echo", "FP32", -1)
    key = alias_key("echo", "production")
    document = decode_alias(store.get(key).data)
    routes = tuple(Route(n, 1.0, shop.registry.resolve(Ref("echo", version=n))[1]) for n in (1, 2))
    store.put(key, encode(replace(document, routes=routes, entry=replace(document.entry, target=routes))))

    def version(caller: str) -> str:
        response = shop.predict("echo", BODY, x_onnxlet_routing_key=caller)
        return response.headers["X-Onnxlet-Model-Version"]

    assert {version(f"caller {number}") for number in range(20)} == {"1", "2"}
    assert len({version("one caller") for _ in range(20)}) == 1


def test_what_nobody_foresaw_is_logged_and_says_nothing(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = shop.dataplane.answer(Request("GET", None))  # type: ignore[arg-type] # a path that is none
    assert (response.status, json.loads(response.text() or "")) == (500, {"error": "internal error"})
    assert "unforeseen error" in caplog.text
    assert "Traceback" in caplog.text


def kinds(of: type[OnnxletError]) -> Iterator[type[OnnxletError]]:
    """An error's kinds, itself included."""
    yield of
    for below in of.__subclasses__():
        yield from kinds(below)


def test_every_error_has_a_status() -> None:
    expected = {
        errors.InvalidInputError: 400,
        errors.UnknownLabelError: 400,
        errors.ExecutionError: 400,
        errors.ModelNotFoundError: 404,
        errors.AliasNotFoundError: 404,
        errors.PreconditionFailedError: 409,
        errors.RequestTooLargeError: 413,
        errors.DigestMismatchError: 500,
        errors.RejectedModelError: 500,
        errors.StoreUnavailableError: 503,
        errors.DeadlineExceededError: 504,
    }
    for kind, status in expected.items():
        response = tfserving.refuse(kind("said so"))
        assert response.status == status
        assert ("Retry-After" in response.headers) is (status in (503, 504))
    for kind in kinds(OnnxletError):
        assert 400 <= tfserving.refuse(kind("said so")).status < 600
