"""Requests of one moment go side by side, and each gets to the last bit what it gets alone."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from doors import Shop, spec
from models.tiny import classifier_package, publish
from onnxlet.local.abreast import Abreast
from onnxlet.local.pace import QUICK
from onnxlet.messages import Request, Response
from onnxlet.store import Store

WEIGHTS = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A store with models, among them two that answer a row otherwise if others are in the same run."""
    shop = Shop(store, tmp_path)
    publish(store, "diagnosis", classifier_package(tmp_path / "diagnosis"))
    shop.publish_echo("count", "INT64", -1)
    shop.publish_echo("words", "BYTES", -1)
    rows = [spec("x", "FP32", -1, 3)]
    shop.publish(
        "ranked",
        rows,
        [spec("y", "FP32", -1, 3)],
        [
            helper.make_node("ReduceMax", ["x", "axes"], ["most"], keepdims=1),
            helper.make_node("Sub", ["x", "most"], ["y"]),
        ],
        weights={"axes": np.array([0])},
    )
    shop.publish(
        "quantized",
        rows,
        [spec("y", "FP32", -1, 40)],
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["near"]),
            helper.make_node("MatMul", ["near", "w"], ["y"]),
        ],
        weights={"w": WEIGHTS},
    )
    return shop


def ask(model: str, body: Any, *, text: str | None = None, path: str = "") -> Request:  # noqa: ANN401 - any JSON
    """A prediction as the local server reads it."""
    document = json.dumps(body) if text is None else text
    return Request("POST", path or f"/v1/models/{model}:predict", "", {"host": "x"}, document.encode())


def side_by_side(shop: Shop, requests: Sequence[Request]) -> list[Response]:
    """What the requests are answered when all are taken in one moment."""
    answers: dict[int, Response] = {}

    async def take() -> None:
        abreast = Abreast(shop.dataplane.stages, lambda *_: None)
        for place, request in enumerate(requests):
            abreast.take(request, lambda response, place=place: answers.update({place: response}), 0.0)  # type: ignore[misc]
        assert not answers
        await asyncio.sleep(0)

    asyncio.run(take())
    return [answers[place] for place in range(len(requests))]


def same_as_alone(shop: Shop, requests: Sequence[Request]) -> None:
    """Hold what requests are answered side by side to what each is answered alone."""
    alone = [shop.dataplane.answer(request) for request in requests]
    for request, one, other in zip(requests, side_by_side(shop, requests), alone, strict=True):
        other.headers.pop("Server-Timing", None)  # of the one that had to load the model
        assert one == other, request


NUMBER = st.floats(-1e6, 1e6, width=32)
ROWS = st.lists(st.lists(NUMBER, min_size=3, max_size=3), min_size=1, max_size=3)
REQUEST = st.one_of(
    st.tuples(st.sampled_from(["ranked", "quantized", "diagnosis"]), ROWS).map(
        lambda each: ask(each[0], {"instances": each[1]})
    ),
    ROWS.map(lambda rows: ask("ranked", {"inputs": rows})),
    st.lists(st.integers(-9, 9), min_size=1, max_size=3).map(lambda row: ask("count", {"instances": row})),
    st.lists(st.text(max_size=3), min_size=1, max_size=3).map(lambda row: ask("words", {"instances": row})),
    st.fixed_dictionaries({"radius": NUMBER, "texture": NUMBER}).map(
        lambda row: ask("diagnosis", {"instances": [row]})
    ),
    st.sampled_from(
        [
            ask("ranked", None, text="{"),
            ask("ranked", {"instances": [[1, 2]]}),
            ask("ranked", {"instances": [[1, 2, "3"]]}),
            ask("nobody", {"instances": [1]}),
            ask("ranked", {}, path="/v1/models/ranked/labels/no:predict"),
            ask("ranked", {}, path="/v1/models/ranked/versions/9:predict"),
            ask("ranked", {}, path="/v1/models/ranked"),
            ask("ranked", {}, path="/v1/models/ranked:regress"),
            ask("ranked", {}, path="/v1/models/..:predict"),
            ask("ranked", {}, path="/v2/health/live"),
            ask("ranked", {}, path="/elsewhere"),
        ]
    ),
)


@given(requests=st.lists(REQUEST, max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_everyone_gets_what_they_would_get_alone(shop: Shop, requests: list[Request]) -> None:
    same_as_alone(shop, requests)


def test_what_is_sent_or_answered_compressed_is_so_side_by_side_as_well(shop: Shop) -> None:
    rows = np.random.default_rng(0).normal(size=(160, 3)).tolist()
    plain, packed = ask("quantized", {"instances": rows}), ask("quantized", {"instances": rows})
    packed.body = gzip.compress(packed.body)
    packed.headers |= {"content-encoding": "gzip"}
    plain.headers |= {"accept-encoding": "gzip"}
    one, other = side_by_side(shop, [plain, packed])
    assert one.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(one.body) == other.body


def test_whoever_had_to_load_the_model_is_told_what_took_how_long(shop: Shop) -> None:
    answers = side_by_side(shop, [ask("ranked", {"instances": [[1, 2, 3]]})] * 2)
    assert ["load;dur=" in answer.headers.get("Server-Timing", "") for answer in answers] == [True, False]
    assert answers[0].body == answers[1].body


def test_what_nobody_foresaw_is_one_requests_error_and_no_others(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    strange = Request("POST", None)  # type: ignore[arg-type] # a path that is none
    good = ask("count", {"instances": [1]})
    assert [answer.status for answer in side_by_side(shop, [good, strange, good])] == [200, 500, 200]
    assert "unforeseen error" in caplog.text


def slow(request: Request) -> Iterator[Response | None]:
    """An answer in three stages that takes as many seconds as the body says."""
    yield None
    time.sleep(float(request.body))
    yield None
    yield Response(200, request.body)


def test_everyones_seconds_are_their_own() -> None:
    seconds: dict[bytes, float] = {}

    async def take() -> None:
        abreast = Abreast(slow, lambda _, response, took: seconds.update({response.body: took}))
        for body in (b"0", b"0.2", b"0.1"):
            abreast.take(Request("POST", "/", body=body), lambda _: None, 0.0)
        abreast.answer_taken()

    asyncio.run(take())
    assert seconds[b"0"] < 0.1 <= seconds[b"0.1"] < seconds[b"0.2"]


def test_no_more_are_taken_together_than_one_may_hold_up_the_loop() -> None:
    answered: list[bytes] = []

    async def take() -> None:
        abreast = Abreast(slow, lambda *_: None)
        for body in (b"0", b"00", b"000"):
            abreast.take(Request("POST", "/", body=body), lambda got: answered.append(got.body), QUICK * 0.6)
        assert answered == [b"0", b"00"]
        await asyncio.sleep(0)
        assert answered == [b"0", b"00", b"000"]

    asyncio.run(take())


def test_an_answer_that_cannot_be_delivered_costs_nobody_else_theirs(caplog: pytest.LogCaptureFixture) -> None:
    answered: list[bytes] = []

    def lost(_: Response) -> None:
        raise ConnectionResetError

    async def take() -> None:
        abreast = Abreast(slow, lambda *_: None)
        abreast.take(Request("POST", "/", body=b"0"), lost, 0.0)
        abreast.take(Request("POST", "/", body=b"00"), lambda got: answered.append(got.body), 0.0)
        abreast.answer_taken()

    asyncio.run(take())
    assert answered == [b"00"]
    assert "could not be delivered" in caplog.text
