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
from onnxlet.dataplane.codec import documents
from onnxlet.dataplane.messages import Request, Response
from onnxlet.local.abreast import Abreast, Deliver
from onnxlet.local.pace import QUICK
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
    answers: dict[int, Response | None] = {}

    async def take() -> None:
        abreast = Abreast(shop.dataplane.stages, lambda *_: None)
        for place, request in enumerate(requests):
            abreast.take(request, lambda response, place=place: answers.update({place: response}), 0.0)  # type: ignore[misc]
        assert not answers
        await asyncio.sleep(0)

    asyncio.run(take())
    # what was handed back because another took long, on a busy machine, is answered as the server would then
    return [answers[place] or shop.dataplane.answer(request) for place, request in enumerate(requests)]


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


def test_a_request_that_is_refused_leaves_the_next_ones_parser_alone(shop: Shop) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3)).tolist()
    good, bad = ask("quantized", {"instances": rows}), ask("quantized", {"other": rows})
    same_as_alone(shop, [good])
    kept = documents._kept_parser()  # noqa: SLF001 - what makes the difference
    assert [answer.status for answer in side_by_side(shop, [bad, good])] == [400, 200]
    assert documents._kept_parser() is kept  # noqa: SLF001


LONG = 10 * QUICK


def stages(request: Request) -> Iterator[Response | None]:
    """Answer in three stages, the second of which takes as many seconds as the body says."""
    yield None
    time.sleep(float(request.body))
    yield None
    yield Response(200, request.body)


class Answers(list[tuple[bytes, bytes | None]]):
    """What was delivered to whom, in order."""

    def to(self, body: bytes) -> Deliver:
        """Take the answer to a request with this body."""
        return lambda response: self.append((body, None if response is None else response.body))


def test_those_without_an_answer_are_handed_back_when_one_turns_out_slow() -> None:
    answers = Answers()
    seconds: dict[bytes, float] = {}
    bodies = [b"0", f"{LONG}".encode(), b"0.0", f"{LONG}0".encode()]

    async def take() -> None:
        abreast = Abreast(stages, lambda taken, _: seconds.update({taken.request.body: taken.own}))
        for body in bodies:
            abreast.take(Request("POST", "/", body=body), answers.to(body), 0.0)
        abreast.answer_taken()

    asyncio.run(take())
    # the first was only run, not written, when the second turned out slow
    assert answers == [(bodies[0], None), (bodies[1], bodies[1]), (bodies[2], None), (bodies[3], None)]
    assert [*seconds] == [bodies[1]]
    assert seconds[bodies[1]] >= LONG


def test_no_more_are_taken_together_than_one_may_hold_up_the_loop() -> None:
    answers = Answers()

    async def take() -> None:
        abreast = Abreast(stages, lambda *_: None)
        for body in (b"0", b"0.0", b"0.00"):
            abreast.take(Request("POST", "/", body=body), answers.to(body), QUICK * 0.4)
        assert [body for body, _ in answers] == [b"0", b"0.0"]
        await asyncio.sleep(0)
        assert [body for body, _ in answers] == [b"0", b"0.0", b"0.00"]

    asyncio.run(take())


def test_an_answer_that_cannot_be_delivered_costs_nobody_else_theirs(caplog: pytest.LogCaptureFixture) -> None:
    answers = Answers()

    def lost(_: Response | None) -> None:
        raise ConnectionResetError

    async def take() -> None:
        abreast = Abreast(stages, lambda *_: None)
        abreast.take(Request("POST", "/", body=b"0"), lost, 0.0)
        abreast.take(Request("POST", "/", body=b"0.0"), answers.to(b"0.0"), 0.0)
        abreast.answer_taken()

    asyncio.run(take())
    assert [body for body, _ in answers] == [b"0.0"]
    assert "could not be delivered" in caplog.text
