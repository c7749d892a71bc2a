"""What it costs to read a body: calls and look-ups grow with its bytes in any form; `make bench` has the seconds."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from resource import RUSAGE_SELF, getrusage
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from bodies import OPEN_INFERENCE, TENSORFLOW_SERVING, Form
from doors import Shop, spec
from onnxlet.dataplane.codec import documents
from onnxlet.dataplane.codec.outside import count_outside_strings
from onnxlet.dataplane.memory import keep_freed_memory
from onnxlet.dataplane.protocols.open_inference.body import read_body as read_open_inference
from onnxlet.dataplane.protocols.tensorflow_serving.body import read_body as read_tensorflow_serving
from onnxlet.errors import InvalidInputError
from onnxlet.serving.model import Model
from onnxlet.steps import Column, Steps, Tabular
from onnxlet.store import open_store
from onnxlet.values.refs import Ref

pytestmark = pytest.mark.slow

SIZE = 40_000
LARGEST_DIAGNOSED = 2**17
MODELS = ("pair", "single", "text", "diagnosis", "column")
FORMS = [
    *(("TensorFlow Serving", name, form) for name, form in TENSORFLOW_SERVING.items()),
    *(("Open Inference", name, form) for name, form in OPEN_INFERENCE.items()),
]
READERS: dict[str, Callable[[bytes, Model], object]] = {
    "TensorFlow Serving": read_tensorflow_serving,
    "Open Inference": read_open_inference,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """A matrix, a vector, texts, thirty columns, and one column that has a default."""
    folder = tmp_path_factory.mktemp("cost")
    shop = Shop(open_store((folder / "store").as_uri()), folder)
    shop.publish_echo("pair", "FP32", -1, 2)
    shop.publish_echo("single", "FP32", -1)
    shop.publish_echo("text", "BYTES", -1)
    shop.publish_diagnosis()
    shop.publish(
        "column",
        [spec("x", "FP32", -1, 1)],
        [spec("y", "FP32", -1, 1)],
        [helper.make_node("Identity", ["x"], ["y"])],
        steps=Steps((Tabular((Column("x", "FP32", default=1.0),)),)),
    )
    documents.parse_fast(b"[]")  # the first body loads simdjson, which no form has to pay for
    return {name: shop.predictor.served(Ref(name)).model for name in MODELS}


def steps_of(read: Callable[[], object]) -> int:
    """How many lines and calls, also of what is written in C, a reading takes."""
    steps = 0

    def count_calls(_: FrameType, __: str, ___: Any) -> None:  # noqa: ANN401 - what the profiler passes
        nonlocal steps
        steps += 1

    def count_lines(_: FrameType, __: str, ___: Any) -> Any:  # noqa: ANN401 - itself, for the next line
        nonlocal steps
        steps += 1
        return count_lines

    sys.setprofile(count_calls)
    sys.settrace(count_lines)
    try:
        read()
    except InvalidInputError:
        pass
    finally:
        sys.settrace(None)
        sys.setprofile(None)
    return steps


@pytest.mark.parametrize(("protocol", "name", "form"), FORMS, ids=[f"{form[0]}: {form[1]}" for form in FORMS])
def test_twice_the_bytes_take_about_twice_the_steps(
    protocol: str, name: str, form: Form, models: dict[str, Model]
) -> None:
    for model in models.values():
        one, two = (steps_of(partial(READERS[protocol], form(size), model)) for size in (SIZE, 2 * SIZE))
        assert two <= 2.3 * one + 200, name


class Counted(str):
    """A key that counts how often any of its kind is compared."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize("keys", [1000, 2000])
def test_a_key_that_appears_twice_is_found_with_a_look_at_each(keys: int) -> None:
    pairs = [(Counted(f"k{key}"), 1) for key in range(keys)] + [(Counted("last"), 1), (Counted("last"), 1)]
    Counted.compared = 0
    row = documents.RepeatedKeys(dict(pairs), list(pairs))
    assert row.repeated == "last"
    assert Counted.compared < keys / 10


def test_simdjson_looks_up_no_more_than_a_few_members() -> None:
    most = ",".join(f'"k{key}":[1]' for key in range(128))
    assert len(documents.members(documents.parse_fast(f"{{{most}}}".encode()), "x")) == 128
    with pytest.raises(documents.UncertainError, match="many members"):
        documents.members(documents.parse_fast(f'{{{most},"k":1}}'.encode()), "x")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"instances":[' + b"{}," * 65_536 + b"{}]}", "the body has 65,538 objects, and at most 65,536 are read"),
        (b'{"instances":[' + b"[]," * 65_536 + b"[]]}", "65,538 lists, and at most 65,536 are read"),
    ],
)
def test_what_is_too_much_to_read_is_refused_before_it_is_read(
    body: bytes, said: str, models: dict[str, Model]
) -> None:
    for read in (read_tensorflow_serving, read_open_inference)[: 1 + ("objects" in said)]:
        with pytest.raises(InvalidInputError, match=said):
            read(body, models["pair"])
        assert steps_of(partial(read, body, models["pair"])) < 1000


def test_an_object_of_too_many_members_is_refused(models: dict[str, Model]) -> None:
    members = ",".join(f'"k{key}":1' for key in range(16_385))
    for body in (f'{{"instances":[{{{members}}}]}}', f'{{"inputs":{{{members}}}}}'):
        with pytest.raises(InvalidInputError, match="has 16,385 members, and at most 16,384 are read"):
            read_tensorflow_serving(body.encode(), models["pair"])
    with pytest.raises(InvalidInputError, match=r"parameters.* has 16,385 members"):
        read_open_inference(f'{{"inputs":[],"parameters":{{{members}}}}}'.encode(), models["pair"])


def test_brackets_and_braces_within_strings_are_text(models: dict[str, Model]) -> None:
    text = '[{\\"\\\\' * 600_000
    call = read_tensorflow_serving(f'{{"instances":["{text}"]}}'.encode(), models["text"])
    assert call.inputs["x"].tolist() == ['[{"\\' * 600_000]


@pytest.mark.parametrize(
    ("protocol", "name", "form"),
    [
        pytest.param(*form, id=f"{form[0]}: {form[1]}", marks=() if form in FORMS[::8] else pytest.mark.long)
        for form in FORMS
    ],
)
def test_a_body_that_was_read_or_refused_is_freed_at_once(
    protocol: str, name: str, form: Form, models: dict[str, Model]
) -> None:
    body = form(LARGEST_DIAGNOSED + 10_000)
    gc.collect()
    gc.freeze()  # what there is already is not looked at again
    gc.disable()
    try:
        for model in models.values():
            with suppress(InvalidInputError):
                READERS[protocol](body, model)
            assert gc.collect() == 0, name
    finally:
        gc.enable()
        gc.unfreeze()


def test_the_next_large_body_takes_no_memory_from_the_kernel(models: dict[str, Model]) -> None:
    keep_freed_memory()
    numbers = b'{"instances":[[' + b"1," * 2_990_000 + b"1]]}"
    row = b"{" + b",".join(b'"k%d":1' % number for number in range(200)) + b"},"
    objects = b'{"instances":[' + row * (5_900_000 // len(row)) + b"{}]}"
    for body in (numbers, objects):  # simdjson takes eight times as many bytes at once, orjson twelve times
        assert len(body) > 5_800_000
        faults = []
        for _ in range(4):
            before = getrusage(RUSAGE_SELF).ru_minflt
            with pytest.raises(InvalidInputError):
                read_tensorflow_serving(body, models["text"])
            faults.append(getrusage(RUSAGE_SELF).ru_minflt - before)
        assert min(faults[1:]) < 1000, faults


def test_large_bodies_are_read_by_several_threads_at_once(models: dict[str, Model]) -> None:
    bodies = [b'{"instances":[' + b"[%d,2]," % number * 200_000 + b"[%d,2]]}" % number for number in range(4)]
    assert min(map(len, bodies)) > 2**20
    with ThreadPoolExecutor(4) as pool:
        calls = list(pool.map(lambda body: read_tensorflow_serving(body, models["pair"]), bodies * 3))
    for number, call in enumerate(calls):
        assert call.inputs["x"].shape == (200_001, 2)
        assert (call.inputs["x"] == [number % 4, 2]).all()


def test_a_number_out_of_range_is_found_in_a_large_body_with_nan(models: dict[str, Model]) -> None:
    for special in ("NaN", "-Infinity", "Infinity"):
        rows = f'{{"instances":[[1,{special}],' + "[1.5,2]," * 20_000
        call = read_tensorflow_serving(f"{rows}[1e38,2]]}}".encode(), models["pair"])
        witness = json.loads(f"{rows}[1e38,2]]}}")["instances"]
        np.testing.assert_array_equal(call.inputs["x"], np.asarray(witness, np.float32))
        with pytest.raises(InvalidInputError, match="out of range"):
            read_tensorflow_serving(f"{rows}[1e400,2]]}}".encode(), models["pair"])


@given(st.lists(st.sampled_from(['"', "{", "}", "a", ",", " ", "é", '"{"', '""'])), st.integers(0, 130))
def test_braces_are_counted_where_no_string_is(parts: list[str], filling: int) -> None:
    body = ("." * filling + "".join(parts)).encode()
    inside, outside = False, 0
    for character in body.decode():
        inside ^= character == '"'
        outside += character == "{" and not inside
    assert count_outside_strings(body, b"{") == outside


def test_a_large_body_leaves_the_garbage_collector_as_it_was(models: dict[str, Model]) -> None:
    body = b'{"instances":[' + b"[1,2]," * 20_000 + b"[1]]}"
    for collecting in (True, False):
        (gc.enable if collecting else gc.disable)()
        try:
            with pytest.raises(InvalidInputError, match="ragged"):
                read_tensorflow_serving(body, models["pair"])
            assert gc.isenabled() == collecting
        finally:
            gc.enable()


def test_more_inputs_and_outputs_than_a_model_could_have_are_not_compared(models: dict[str, Model]) -> None:
    inputs = ",".join(f'{{"name":"{number}","datatype":"FP32","shape":[1],"data":[1]}}' for number in range(65))
    with pytest.raises(InvalidInputError, match="the body has 65 inputs, and the model knows 1"):
        read_open_inference(f'{{"inputs":[{inputs}]}}'.encode(), models["single"])
    outputs = ",".join(f'{{"name":"{number}"}}' for number in range(65))
    with pytest.raises(InvalidInputError, match="the body has 65 outputs, and the model knows 1"):
        read_open_inference(f'{{"inputs":[],"outputs":[{outputs}]}}'.encode(), models["single"])
