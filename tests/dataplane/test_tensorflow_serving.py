"""TensorFlow Serving's REST API v1, body by body and status by status, on real models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from doors import COLUMNS, Shop, spec
from onnxlet.dataplane.codec.documents import parse_exact
from onnxlet.dataplane.protocols.tensorflow_serving.body import read_body, read_document
from onnxlet.errors import InvalidInputError
from onnxlet.serving.model import Model
from onnxlet.steps import Column, Finite, Steps, Tabular
from onnxlet.store import Store
from onnxlet.values.refs import Ref

FEATURES = [[number / 10 for number in range(30)]]


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """An empty store; tests publish what they ask."""
    return Shop(store, tmp_path)


def publish_two(shop: Shop) -> None:
    """Publish a model of two inputs and two outputs that returns them."""
    shop.publish(
        "two",
        [spec("numbers", "FP32", -1, 2), spec("count", "INT64", -1)],
        [spec("same", "FP32", -1, 2), spec("counted", "INT64", -1)],
        [helper.make_node("Identity", ["numbers"], ["same"]), helper.make_node("Identity", ["count"], ["counted"])],
    )


def answered(shop: Shop, model: str, body: Any) -> Any:  # noqa: ANN401 - JSON
    """The answer to a body that is right."""
    response = shop.predict(model, body if isinstance(body, str) else json.dumps(body))
    assert response.status == 200, response.body
    assert response.headers["Content-Type"] == "application/json"
    return json.loads(response.body)


def refused(shop: Shop, model: str, body: Any, status: int = 400) -> str:  # noqa: ANN401 - JSON
    """What is said of a body that is wrong."""
    response = shop.predict(model, body if isinstance(body, str) else json.dumps(body))
    assert response.status == status, response.body
    assert response.headers["Content-Type"] == "application/json"
    error = json.loads(response.body)
    assert list(error) == ["error"]
    return str(error["error"])


# --- predict ----------------------------------------------------------------------------------------------------------


def test_one_input_takes_bare_values_or_objects_of_one_key(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1, 2)
    rows = [[1, 2.5], [3, 4]]
    expected = {"predictions": [[1.0, 2.5], [3.0, 4.0]]}
    assert answered(shop, "echo", {"instances": rows}) == expected
    assert answered(shop, "echo", {"instances": [{"x": row} for row in rows]}) == expected
    assert answered(shop, "echo", {"signature_name": "serving_default", "instances": rows}) == expected
    assert answered(shop, "echo", {"signature_name": "", "instances": rows, "other": [1]}) == expected
    assert shop.predict("echo", json.dumps({"instances": [[1, 2]]})).body == b'{"predictions":[[1.0,2.0]]}'


def test_inputs_are_whole_tensors(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1, 2)
    assert answered(shop, "echo", {"inputs": [[1, 2]]}) == {"outputs": [[1.0, 2.0]]}
    assert answered(shop, "echo", {"inputs": {"x": [[1, 2]]}}) == {"outputs": [[1.0, 2.0]]}


def test_several_inputs_and_outputs_go_by_name(shop: Shop) -> None:
    publish_two(shop)
    rows = [{"numbers": [1, 2], "count": 2**53 + 1}, {"count": -1, "numbers": [3, 4]}]
    assert answered(shop, "two", {"instances": rows}) == {
        "predictions": [
            {"same": [1.0, 2.0], "counted": 2**53 + 1},
            {"same": [3.0, 4.0], "counted": -1},
        ]
    }
    assert answered(shop, "two", {"inputs": {"numbers": [[1, 2], [3, 4]], "count": [1, 2]}}) == {
        "outputs": {"same": [[1.0, 2.0], [3.0, 4.0]], "counted": [1, 2]}
    }


def test_strings_come_and_go_as_text_or_base64(shop: Shop) -> None:
    shop.publish_echo("text", "BYTES", -1)
    shop.publish_echo("blob", "BYTES", -1, output="y_bytes")
    rows = ["a", {"b64": "w6k="}]
    assert answered(shop, "text", {"instances": rows}) == {"predictions": ["a", "é"]}
    assert answered(shop, "text", {"instances": [{"b64": "w6k="}]}) == {"predictions": ["é"]}
    assert answered(shop, "text", {"instances": [{"x": "a"}, {"x": {"b64": "w6k="}}]}) == {"predictions": ["a", "é"]}
    assert answered(shop, "text", {"inputs": rows}) == {"outputs": ["a", "é"]}
    assert answered(shop, "blob", {"instances": ["é", "a"]}) == {"predictions": [{"b64": "w6k="}, {"b64": "YQ=="}]}
    assert answered(shop, "blob", {"inputs": ["é"]}) == {"outputs": [{"b64": "w6k="}]}


def test_nan_and_infinity_are_tokens_both_ways(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    assert shop.predict("echo", '{"instances": [NaN, Infinity, -Infinity, 1]} more').body == (
        b'{"predictions":[NaN,Infinity,-Infinity,1.0]}'
    )


@pytest.mark.parametrize("rows", [1, 3, 5_000])
@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_what_a_model_refuses_is_refused_in_bodies_of_all_sizes(shop: Shop, rows: int, token: str) -> None:
    shop.publish(
        "strict",
        [spec("x", "FP32", -1, 2)],
        [spec("y", "FP32", -1, 2)],
        [helper.make_node("Identity", ["x"], ["y"])],
        steps=Steps((Finite(("age", "dose"), input="x"),)),
    )
    good = ",".join(["[1, 2.5]"] * rows)
    assert shop.predict("strict", f'{{"instances": [{good}]}}').status == 200
    for last in (f"[{token}, 1]", f"[1, {token}]"):
        body = f'{{"instances": [{good}, {last}]}}' if rows > 1 else f'{{"instances": [{last}]}}'
        answer = shop.predict("strict", body)
        assert (answer.status, b"the model takes no such value" in answer.body) == (400, True)


def test_a_scalar_output_has_no_rows(shop: Shop) -> None:
    shop.publish(
        "total", [spec("x", "FP32", -1)], [spec("y", "FP32")], [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)]
    )
    assert answered(shop, "total", {"inputs": [1, 2]}) == {"outputs": 3.0}
    assert "is a single value, not rows" in refused(shop, "total", {"instances": [1, 2]})


def test_outputs_of_different_lengths_have_no_rows(shop: Shop) -> None:
    shop.publish(
        "uneven",
        [spec("x", "FP32", -1)],
        [spec("same", "FP32", -1), spec("shape", "INT64", 1)],
        [helper.make_node("Identity", ["x"], ["same"]), helper.make_node("Shape", ["x"], ["shape"])],
    )
    assert answered(shop, "uneven", {"inputs": [1, 2]}) == {"outputs": {"same": [1.0, 2.0], "shape": [2]}}
    assert "differ in rows ('same' 2, 'shape' 1)" in refused(shop, "uneven", {"instances": [1, 2]})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "the body is not JSON"),
        ("[1]", "the body must be an object, not a list"),
        ("{}", "the body must have 'instances' or 'inputs'"),
        ({"instances": [1], "inputs": [1]}, "one of 'instances' and 'inputs', not both"),
        ('{"instances": [1], "instances": [2]}', "the key 'instances' appears twice in the body"),
        ({"instances": []}, "'instances' is empty"),
        ({"instances": {"x": 1}}, "'instances' must be a list, not an object"),
        ({"signature_name": 1, "instances": [1]}, "'signature_name' must be a string, not an integer"),
        ({"signature_name": "other", "instances": [1]}, "the model has no signature 'other', only 'serving_default'"),
        ({"instances": [{"y": 1}]}, "instances[0] lacks 'x' and has 'y', which the model does not know"),
        ({"instances": [{"x": 1}, {"x": 1, "z": 2}]}, "instances[1] has 'z', which the model does not know"),
        ('{"instances": [{"x": 1}, {"x": 1, "x": 2}]}', "the key 'x' appears twice in instances[1]"),
        ({"instances": [1, {"x": 1}]}, "instances[1] must be a number, not an object"),
        ({"instances": [{"x": 1}, 1]}, "instances[1] must be an object as those before it, not an integer"),
        ({"instances": [{"x": 1}, {"x": "a"}]}, "instances[1].x must be a number, not a string"),
        ({"instances": [{"x": [1]}]}, "input 'x' takes shape [-1], not [1, 1]"),
        ({"instances": [[1]]}, "input 'x' takes shape [-1], not [1, 1]"),
        ({"instances": [True]}, "instances[0] must be a number, not true or false"),
        ({"instances": [None]}, "instances[0] must be a number, not null"),
        ({"instances": [1e39]}, "instances[0] is beyond FP32"),
        ('{"instances": [1e400]}', "a number is out of range"),
        ({"instances": [[1, 2], [3]]}, "ragged: instances[1] must be a list of 2"),
        ({"inputs": {"y": [1]}}, "'inputs' lacks 'x' and has 'y'"),
        ({"inputs": {"x": [1], "unknown": 3}}, "'inputs' has 'unknown', which the model does not know"),
        ({"inputs": {"b64": "AA=="}}, "inputs must be a number, not an object"),
        ({"inputs": 1}, "input 'x' takes shape [-1], not []"),
        ("[" * 60_000, "nested too deeply"),
        ('{"instances": ' + "[" * 60_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(shop: Shop, body: Any, said: str) -> None:  # noqa: ANN401 - JSON
    shop.publish_echo("echo", "FP32", -1)
    assert said in refused(shop, "echo", body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"instances": [[1, 1e39]]}, "instances[0][1] is beyond FP32"),
        ({"instances": [[1, 2], [1, -(10**39)]]}, "instances[1][1] is beyond FP32"),
        ({"instances": [[1, True]]}, "instances[0][1] must be a number, not true or false"),
        ({"instances": [[False, 1]]}, "instances[0][0] must be a number, not true or false"),
        ({"instances": [[1, None]]}, "instances[0][1] must be a number, not null"),
        ({"instances": [[1, "2"]]}, "instances[0][1] must be a number, not a string"),
        ({"instances": [[1, {}]]}, "instances[0][1] must be a number, not an object"),
        ({"instances": [[1, [2]]]}, "instances[0][1] must be a number, not a list"),
        ({"instances": [[[1], [2]]]}, "input 'x' takes shape [-1, 2], not [1, 2, 1]"),
        ({"instances": [[1, 2], [3]]}, "ragged: instances[1] must be a list of 2"),
        ({"instances": [[1, 2], "34"]}, "ragged: instances[1] must be a list of 2"),
        ({"instances": [[1, 2, 3]]}, "input 'x' takes shape [-1, 2], not [1, 3]"),
        ({"instances": [[]]}, "input 'x' takes shape [-1, 2], not [1, 0]"),
        ('{"instances": [[1, NaN]], "instances": [[1, 2]]}', "the key 'instances' appears twice in the body"),
        ('{"instances": [[1, 2]], "\\u0069nstances": [[3, 4]]}', "the key 'instances' appears twice in the body"),
        ('{"instances": [[1, 1e400]]}', "a number is out of range"),
    ],
)
def test_what_is_wrong_with_rows_of_numbers_is_said(shop: Shop, body: Any, said: str) -> None:  # noqa: ANN401 - JSON
    shop.publish_echo("pair", "FP32", -1, 2)
    assert said in refused(shop, "pair", body)
    if isinstance(body, dict):  # another reading is for many numbers
        many = {"instances": [*body["instances"], *[[0.123456789012345, 1]] * 300]}
        assert said in refused(shop, "pair", many) or said.startswith("input")


def test_several_inputs_need_their_names(shop: Shop) -> None:
    publish_two(shop)
    assert "must be a list of objects: the model has 2 inputs" in refused(shop, "two", {"instances": [[1, 2]]})
    assert "must be an object: the model has 2 inputs" in refused(shop, "two", {"inputs": [[1, 2]]})
    assert "lacks 'count'" in refused(shop, "two", {"instances": [{"numbers": [1, 2]}]})
    ragged = {"instances": [{"numbers": [1, 2], "count": 1}, {"numbers": [1], "count": 1}]}
    assert "ragged: instances[1].numbers must be a list of 2" in refused(shop, "two", ragged)


def test_a_failure_inside_the_model_is_the_callers(shop: Shop) -> None:
    shop.publish(
        "gather",
        [spec("x", "INT64", -1)],
        [spec("y", "FP32", -1)],
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        weights={"table": np.arange(3, dtype=np.float32)},
    )
    assert answered(shop, "gather", {"instances": [2]}) == {"predictions": [2.0]}
    assert "failed on this input" in refused(shop, "gather", {"instances": [3]})


# --- named columns ----------------------------------------------------------------------------------------------------


def test_rows_of_named_columns_need_no_signature_name(shop: Shop) -> None:
    shop.publish_diagnosis()
    expected = answered(shop, "diagnosis", {"instances": FEATURES})
    row = dict(zip(COLUMNS, FEATURES[0], strict=True))
    assert answered(shop, "diagnosis", {"instances": [dict(reversed(row.items()))]}) == expected
    assert answered(shop, "diagnosis", {"signature_name": "columns", "instances": [row]}) == expected
    assert answered(shop, "diagnosis", {"instances": [{"features": FEATURES[0]}]}) == expected
    columns = {name: [value] for name, value in row.items()}
    assert list(answered(shop, "diagnosis", {"inputs": columns})["outputs"]) == list(expected["predictions"][0])


def test_a_column_with_a_default_may_be_missing_row_by_row(shop: Shop) -> None:
    shop.publish_diagnosis()
    full = dict(zip(COLUMNS, FEATURES[0], strict=True))
    short = {name: value for name, value in full.items() if name != COLUMNS[-1]}
    halves = [full | {COLUMNS[-1]: 0.5}, full]
    expected = answered(shop, "diagnosis", {"instances": halves})
    assert answered(shop, "diagnosis", {"instances": [short, full]}) == expected
    assert answered(shop, "diagnosis", {"instances": [full | {COLUMNS[-1]: None}, full]}) == expected
    alone = answered(shop, "diagnosis", {"instances": [short]})
    assert alone["predictions"] == expected["predictions"][:1]
    columns = {name: [value] for name, value in short.items()}
    assert answered(shop, "diagnosis", {"inputs": columns})["outputs"]["label"] == [alone["predictions"][0]["label"]]


def publish_measured(shop: Shop, *, missing: bool) -> None:
    """A model that returns its columns: a number and a text, either of which may be `missing`."""
    inputs = [spec("age", "FP32", -1, 1), spec("city", "BYTES", -1, 1)]
    outputs = [spec("a", "FP32", -1, 1), spec("c", "BYTES", -1, 1)]
    nodes = [helper.make_node("Identity", ["age"], ["a"]), helper.make_node("Identity", ["city"], ["c"])]
    columns = tuple(Column(each.name, each.datatype, missing=missing) for each in inputs)
    shop.publish("measured", inputs, outputs, nodes, steps=Steps((Tabular(columns, None),)))


def test_null_is_a_missing_value_to_a_model_that_can_do_with_one(shop: Shop) -> None:
    publish_measured(shop, missing=True)
    rows = [{"age": None, "city": "x"}, {"age": 3, "city": None}, {"age": 4.5, "city": "y"}]
    first, *others = answered(shop, "measured", {"instances": rows})["predictions"]
    assert np.isnan(first["a"]).all()
    assert first["c"] == ["x"]
    assert others == [{"a": [3.0], "c": [""]}, {"a": [4.5], "c": ["y"]}]
    assert "instances[0] lacks 'age'" in refused(shop, "measured", {"instances": [{"city": "x"}]})


def test_null_is_nothing_to_another_model(shop: Shop) -> None:
    publish_measured(shop, missing=False)
    assert "age must be a number, not null" in refused(shop, "measured", {"instances": [{"age": None, "city": "x"}]})
    assert "city must be a string" in refused(shop, "measured", {"instances": [{"age": 1, "city": None}]})


def test_wrong_columns_are_named(shop: Shop) -> None:
    shop.publish_diagnosis()
    row: dict[str, Any] = dict(zip(COLUMNS, FEATURES[0], strict=True))
    assert "instances[0] lacks 'mean feature 0', 'mean feature 1', 'mean feature 2' and 25 more" in refused(
        shop, "diagnosis", {"instances": [{COLUMNS[3]: 1}]}
    )
    assert "instances[1] has 'age', which" in refused(shop, "diagnosis", {"instances": [row, row | {"age": 1}]})
    assert "instances[1].mean feature 4 must be a number, not a string" in refused(
        shop, "diagnosis", {"instances": [row, row | {COLUMNS[4]: "x"}]}
    )
    assert "must be a number, not null" in refused(shop, "diagnosis", {"instances": [row | {COLUMNS[0]: None}]})
    assert "must be one value, not a list" in refused(
        shop, "diagnosis", {"instances": [{name: [value] for name, value in row.items()}]}
    )
    uneven = {name: [value] for name, value in row.items()} | {COLUMNS[0]: [1, 2]}
    assert "all of one length" in refused(shop, "diagnosis", {"inputs": uneven})


# --- both readings ----------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**65) | st.floats() | st.sampled_from(["[", "a", "b64"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "b64", "numbers", "count"]), inner)
    ),
    max_leaves=8,
)
GOOD = st.lists(st.lists(st.floats(allow_nan=False, width=32), min_size=2, max_size=2), min_size=1, max_size=4)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "instances": VALUES | GOOD | GOOD.map(lambda rows: [{"numbers": row, "count": 1} for row in rows]),
        "inputs": VALUES | GOOD.map(lambda rows: {"numbers": rows, "count": [1]}),
        "signature_name": st.sampled_from(["", "serving_default", "["]) | VALUES,
    },
)


@pytest.mark.parametrize(
    "publish", [lambda shop: shop.publish_echo("m", "FP32", -1, 2), publish_two, Shop.publish_diagnosis]
)
def test_a_body_is_read_alike_fast_and_exactly(shop: Shop, publish: Callable[[Shop], object]) -> None:
    publish(shop)
    [name] = shop.registry.models()
    model = shop.predictor.served(Ref(name)).model

    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(BODIES)
    def compare(body: dict[str, Any]) -> None:
        written = json.dumps(body).encode()
        assert outcome(model, written, read_body) == outcome(model, written, read_exactly)

    compare()


def read_exactly(body: bytes, model: Model) -> Any:  # noqa: ANN401 - a Call
    """The reading without a fast way."""
    return read_document(parse_exact(body), model)


def outcome(model: Model, body: bytes, read: Callable[[bytes, Model], Any]) -> object:
    """What a reading finds, or says, in a form that compares."""
    try:
        call = read(body, model)
    except InvalidInputError as error:
        return error.detail
    return (
        call.signature,
        call.rows,
        {name: (tensor.dtype.name, tensor.shape, str(tensor.tolist())) for name, tensor in call.inputs.items()},
    )


# --- paths, status, metadata ------------------------------------------------------------------------------------------


def test_versions_and_labels_name_a_version(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    shop.publish_echo("echo", "FP32", -1)
    shop.registry.promote("echo", 1, alias="candidate")
    body = '{"instances": [1]}'
    for path, version, alias in (
        ("/v1/models/echo:predict", "2", "production"),
        ("/V1/Models/echo:PREDICT", "2", "production"),
        ("/v1/models/echo/versions/1:predict", "1", None),
        ("/v1/models/echo/versions/002:predict", "2", None),
        ("/v1/models/echo/labels/candidate:predict", "1", "candidate"),
    ):
        response = shop.send("POST", path, body)
        assert response.status == 200, response.body
        assert response.headers["X-Onnxlet-Model-Version"] == version
        assert response.headers.get("X-Onnxlet-Alias") == alias


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("POST", "/v1/models/echo/versions/9:predict", 404, "serves no version 9"),
        ("POST", "/v1/models/echo/versions/0:predict", 404, "serves no version 0"),
        ("POST", "/v1/models/echo/versions/9223372036854775808:predict", 400, "failed to convert version"),
        ("POST", f"/v1/models/echo/versions/{'9' * 5000}:predict", 400, "failed to convert version"),
        ("POST", "/v1/models/echo/labels/nobody:predict", 400, "has no alias 'nobody'"),
        ("POST", "/v1/models/nobody:predict", 404, "no model named 'nobody'"),
        ("POST", "/v1/models/nobody/labels/x:predict", 404, "no model named 'nobody'"),
        ("POST", "/v1/models/caf\u00e9:predict", 400, "cannot be a model name"),
        ("POST", "/v1/models/..:predict", 400, "cannot be a model name"),
        ("POST", "/v1/models/../../etc/passwd:predict", 400, "Malformed request: POST /v1/models/../"),
        ("POST", "/v1/models/echo/versions/1/labels/a:predict", 400, "Malformed request"),
        ("POST", "/v1/models/echo/versions/\u0661:predict", 400, "Malformed request"),
        ("POST", "/v1/models/echo:classify", 400, "no signature for 'classify'"),
        ("POST", "/v1/models/echo:regress", 400, "no signature for 'regress'"),
        ("POST", "/v1/models/echo:explode", 400, "Malformed request: POST /v1/models/echo:explode"),
        ("GET", "/v1/models/echo:predict", 400, "Malformed request: GET /v1/models/echo:predict"),
        ("DELETE", "/v1/models/echo", 400, "Malformed request: DELETE /v1/models/echo"),
        ("POST", "/v1/models/echo", 400, "Malformed request: POST /v1/models/echo"),
        ("GET", "/v1/models", 400, "missing model name"),
        ("GET", "/v1/models/nobody", 404, "no model named 'nobody'"),
        ("GET", "/v1/models/echo/versions/9", 404, "could not find version 9 of model 'echo'"),
        ("GET", "/v1/models/echo/labels/nobody", 400, "has no alias 'nobody'"),
        ("GET", "/v1/models/nobody/metadata", 404, "no model named 'nobody'"),
    ],
)
def test_what_is_wrong_with_a_path_is_said(shop: Shop, method: str, path: str, status: int, said: str) -> None:
    shop.publish_echo("echo", "FP32", -1)
    response = shop.send(method, path, '{"instances": [1]}')
    assert (response.status, said in json.loads(response.body)["error"]) == (status, True), response.body


def test_a_model_that_no_alias_routes_to_is_not_found(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    shop.registry.promote("echo", 1, alias="candidate")
    response = shop.send("POST", "/v1/models/echo/labels/production:predict", '{"instances": [1]}')
    assert response.status == 200


def test_status_lists_what_is_servable(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    shop.publish_echo("echo", "FP32", -1)
    ok = {"error_code": "OK", "error_message": ""}
    both = [{"version": version, "state": "AVAILABLE", "status": ok} for version in ("2", "1")]
    for path, listed in (
        ("/v1/models/echo", both),
        ("/v1/models/echo/versions/1", both[1:]),
        ("/v1/models/echo/labels/production", both[:1]),
    ):
        response = shop.send("GET", path)
        assert (response.status, json.loads(response.body)) == (200, {"model_version_status": listed})


def test_metadata_describes_the_signatures(shop: Shop) -> None:
    publish_two(shop)
    response = shop.send("GET", "/v1/models/two/metadata")

    def tensor(name: str, dtype: str, *sizes: str) -> dict[str, Any]:
        dimensions = [{"size": size, "name": ""} for size in sizes]
        return {"dtype": dtype, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": name}

    assert json.loads(response.body) == {
        "model_spec": {"name": "two", "signature_name": "", "version": "1"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": {
                        "inputs": {
                            "numbers": tensor("numbers", "DT_FLOAT", "-1", "2"),
                            "count": tensor("count", "DT_INT64", "-1"),
                        },
                        "outputs": {
                            "same": tensor("same", "DT_FLOAT", "-1", "2"),
                            "counted": tensor("counted", "DT_INT64", "-1"),
                        },
                        "method_name": "tensorflow/serving/predict",
                    }
                }
            }
        },
    }
    assert response.headers["X-Onnxlet-Model-Version"] == "1"


def test_metadata_describes_the_columns_too(shop: Shop) -> None:
    shop.publish_diagnosis()
    found = json.loads(shop.send("GET", "/v1/models/diagnosis/versions/1/metadata").body)
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert list(signatures) == ["serving_default", "columns"]
    assert list(signatures["columns"]["inputs"]) == list(COLUMNS)
