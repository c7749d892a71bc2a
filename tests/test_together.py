"""Requests that arrive together: one run for many, and each gets to the last bit what it would get alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from doors import Shop, spec
from models.tiny import classifier_package, publish
from onnxlet.joining import LOOKED_AT, MOST_ROWS, Joining
from onnxlet.messages import Request
from onnxlet.model import SERVING_DEFAULT, Model
from onnxlet.refs import Ref
from onnxlet.store import Store
from onnxlet.tensors import Tensors

WEIGHTS = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A store with models whose rows may be joined, and others whose rows may not."""
    shop = Shop(store, tmp_path)
    publish(store, "diagnosis", classifier_package(tmp_path / "diagnosis"))
    shop.publish_echo("echo", "FP32", -1, 2)
    shop.publish_echo("count", "INT64", -1)
    shop.publish_echo("words", "BYTES", -1)
    multiply = helper.make_node("MatMul", ["x", "w"], ["h"])
    rows, answer = [spec("x", "FP32", -1, 3)], [spec("y", "FP32", -1, 40)]
    shop.publish("net", rows, answer, [multiply, helper.make_node("Tanh", ["h"], ["y"])], weights={"w": WEIGHTS})
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
        answer,
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["near"]),
            helper.make_node("MatMul", ["near", "w"], ["y"]),
        ],
        weights={"w": WEIGHTS},
    )
    shop.publish(
        "total",
        rows,
        [spec("y", "FP32", 1)],
        [helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0), helper.make_node("Reshape", ["sum", "one"], ["y"])],
        weights={"one": np.array([1])},
    )
    return shop


def ask(model: str, body: Any, *, text: str | None = None, path: str = "") -> Request:  # noqa: ANN401 - any JSON
    """A prediction as the local server reads it."""
    document = json.dumps(body) if text is None else text
    return Request("POST", path or f"/v1/models/{model}:predict", "", {"host": "x"}, document.encode())


def same_as_alone(shop: Shop, requests: list[Request]) -> None:
    """Hold what requests are answered together to what each is answered alone."""
    together = shop.dataplane.answer_together(requests)
    for request, answered in zip(requests, together, strict=True):
        alone = shop.dataplane.answer(request)
        assert (answered.status, answered.body, answered.headers) == (alone.status, alone.body, alone.headers), request


NUMBER = st.floats(-1e6, 1e6, width=32)
ROWS = st.lists(st.lists(NUMBER, min_size=3, max_size=3), min_size=1, max_size=3)
REQUEST = st.one_of(
    st.tuples(st.sampled_from(["net", "ranked", "quantized", "total", "diagnosis"]), ROWS).map(
        lambda each: ask(each[0], {"instances": each[1]})
    ),
    ROWS.map(lambda rows: ask("net", {"inputs": rows})),
    st.lists(st.integers(-9, 9), min_size=1, max_size=3).map(lambda row: ask("count", {"instances": row})),
    st.lists(st.text(max_size=3), min_size=1, max_size=3).map(lambda row: ask("words", {"instances": row})),
    st.fixed_dictionaries({"radius": NUMBER, "texture": NUMBER}).map(
        lambda row: ask("diagnosis", {"instances": [row]})
    ),
    st.sampled_from(
        [
            ask("net", None, text="{"),
            ask("net", {"instances": [[1, 2]]}),
            ask("net", {"instances": [[1, 2, "3"]]}),
            ask("nobody", {"instances": [1]}),
            ask("net", {}, path="/v1/models/net/labels/no:predict"),
            ask("net", {}, path="/v1/models/net"),
            ask("net", {}, path="/v1/models/net:regress"),
            ask("echo", {"instances": [[1, 2]]}),
        ]
    ),
)


@given(requests=st.lists(REQUEST, max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_together_everyone_gets_what_they_would_get_alone(shop: Shop, requests: list[Request]) -> None:
    same_as_alone(shop, requests)


def test_more_rows_than_one_run_takes_are_answered_all_the_same(shop: Shop) -> None:
    same_as_alone(shop, [ask("net", {"instances": [[number, 1, 2]]}) for number in range(3 * MOST_ROWS + 1)])
    same_as_alone(shop, [ask("net", {"instances": [[number, 1, 2]] * (MOST_ROWS + 1)}) for number in range(3)])


def test_large_answers_are_compressed_for_those_who_take_it_together_as_well(shop: Shop) -> None:
    rows = np.random.default_rng(0).normal(size=(8, 3)).tolist() * 20
    requests = [ask("net", {"instances": rows}) for _ in range(2)]
    for request in requests:
        request.headers["accept-encoding"] = "gzip"
    assert [answer.headers["Content-Encoding"] for answer in shop.dataplane.answer_together(requests)] == ["gzip"] * 2


def model_of(shop: Shop, name: str) -> Model:
    """A model of the shop."""
    return shop.predictor.served(Ref(name)).model


def calls(count: int) -> list[Tensors]:
    """So many calls of one row each."""
    rows = np.random.default_rng(count).normal(size=(count, 1, 3)).astype(np.float32)
    return [{"x": row} for row in rows]


def test_rows_that_do_not_know_each_other_are_joined(shop: Shop) -> None:
    joining, model = Joining(), model_of(shop, "net")
    for count in range(2, MOST_ROWS + 1):
        for call, answer in zip(calls(count), joining.predict(model, SERVING_DEFAULT, calls(count)), strict=True):
            assert answer is not None
            assert answer["y"].tobytes() == model.predict(call)["y"].tobytes()
    assert joining.may(model, SERVING_DEFAULT)


@pytest.mark.parametrize("name", ["ranked", "quantized", "total"])
def test_a_model_whose_rows_know_each_other_is_found_out_even_by_equal_rows(shop: Shop, name: str) -> None:
    joining, model = Joining(), model_of(shop, name)
    assert joining.predict(model, SERVING_DEFAULT, [calls(1)[0]] * 3) == [None] * 3
    assert not joining.may(model, SERVING_DEFAULT)


@pytest.mark.parametrize("name", ["count", "words"])
def test_only_numbers_that_others_can_be_made_of_are_joined(shop: Shop, name: str) -> None:
    assert not Joining().may(model_of(shop, name), SERVING_DEFAULT)


def test_calls_of_other_shapes_are_asked_alone(shop: Shop) -> None:
    shop.publish_echo("wide", "FP32", -1, -1)
    joining, model = Joining(), model_of(shop, "wide")
    mixed: list[Tensors] = [{"x": np.ones((1, width), np.float32)} for width in (2, 3)]
    assert joining.predict(model, SERVING_DEFAULT, mixed) == [None, None]
    assert joining.may(model, SERVING_DEFAULT)


def test_a_model_that_fails_in_company_is_asked_alone(shop: Shop) -> None:
    joining, model = Joining(), model_of(shop, "net")
    wrong: list[Tensors] = [{"x": np.ones((1, 4), np.float32)}] * 2
    assert joining.predict(model, SERVING_DEFAULT, wrong) == [None, None]
    assert joining.predict(model, SERVING_DEFAULT, calls(2)) != [None, None]


def test_a_difference_that_shows_late_ends_it(shop: Shop) -> None:
    """Rows above a limit are told by their company, which the trial's rows are not: `y = x - max(0, most - 1e9)`."""
    shop.publish(
        "sly",
        [spec("x", "FP32", -1, 3)],
        [spec("y", "FP32", -1, 3)],
        [
            helper.make_node("ReduceMax", ["x", "axes"], ["most"], keepdims=1),
            helper.make_node("Sub", ["most", "limit"], ["above"]),
            helper.make_node("Relu", ["above"], ["more"]),
            helper.make_node("Sub", ["x", "more"], ["y"]),
        ],
        weights={"axes": np.array([0]), "limit": np.array(1e9, np.float32)},
    )
    joining, model = Joining(), model_of(shop, "sly")
    assert joining.predict(model, SERVING_DEFAULT, calls(2)) != [None, None]
    far: list[Tensors] = [{"x": np.full((1, 3), value, np.float32)} for value in (2e9, 3e9)]
    for _ in range(2 * LOOKED_AT):
        joining.predict(model, SERVING_DEFAULT, far)
    assert not joining.may(model, SERVING_DEFAULT)
    assert joining.predict(model, SERVING_DEFAULT, far) == [None, None]
