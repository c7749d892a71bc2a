"""The Open Inference Protocol, version 2, in JSON: path by path, body by body and status by status, on real models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper

from doors import COLUMNS, FEATURES, Shop, spec
from models import tiny
from onnxlet.dataplane.codec.documents import parse_exact
from onnxlet.dataplane.protocols.open_inference.body import read_body, write_answer
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column, Steps, Tabular
from onnxlet.store import Store, open_store
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.refs import Ref
from onnxlet.version import __version__


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """An empty store; tests publish what they ask."""
    return Shop(store, tmp_path)


def tensor(name: str, datatype: str, shape: list[int], data: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A tensor of a request."""
    return {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}


def x(data: Any, shape: list[int], datatype: str = "FP32", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A body with the one input `x`."""
    return {"inputs": [tensor("x", datatype, shape, data)], **more}


def infer(shop: Shop, path: str, body: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
    """Status and document of an answer."""
    written = body if isinstance(body, str | bytes) else json.dumps(body)
    response = shop.send("POST", f"/v2/models/{path}/infer", written)
    assert response.headers["Content-Type"] == "application/json"
    return response.status, json.loads(response.body)


def answered(shop: Shop, path: str, body: Any) -> Any:  # noqa: ANN401 - JSON
    """The answer to a body that is right."""
    status, document = infer(shop, path, body)
    assert status == 200, document
    return document


def refused(shop: Shop, path: str, body: Any, status: int = 400) -> str:  # noqa: ANN401 - JSON
    """What is said of a body that is wrong."""
    got, document = infer(shop, path, body)
    assert got == status, document
    assert list(document) == ["error"]
    return str(document["error"])


def publish_two(shop: Shop) -> None:
    """Publish a model of two inputs and two outputs that returns them."""
    shop.publish(
        "two",
        [spec("numbers", "FP32", -1, 2), spec("count", "INT64", -1)],
        [spec("same", "FP32", -1, 2), spec("counted", "INT64", -1)],
        [helper.make_node("Identity", ["numbers"], ["same"]), helper.make_node("Identity", ["count"], ["counted"])],
    )


TWO = [tensor("numbers", "FP32", [1, 2], [0.1, 2]), tensor("count", "INT64", [1], [2**53 + 1])]


# --- infer ------------------------------------------------------------------------------------------------------------


def test_an_answer_names_the_model_and_its_version_and_each_output(shop: Shop) -> None:
    publish_two(shop)
    assert answered(shop, "two", {"inputs": TWO}) == {
        "model_name": "two",
        "model_version": "1",
        "outputs": [
            {"name": "same", "datatype": "FP32", "shape": [1, 2], "data": [0.1, 2.0]},
            {"name": "counted", "datatype": "INT64", "shape": [1], "data": [2**53 + 1]},
        ],
    }


def test_data_may_be_flat_or_nested(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1, 2)
    for data in ([1, 2.5, 3, 4], [[1, 2.5], [3, 4]]):
        [output] = answered(shop, "echo", x(data, [2, 2]))["outputs"]
        assert output == {"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 2.5, 3.0, 4.0]}


def test_an_id_is_echoed_and_parameters_are_let_pass(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    parameters = {"content_type": "np", "priority": 3, "binary_data": False}
    for identifier in ("", "42", "ü\u0000\"'"):
        body = x([1], [1], id=identifier, parameters=parameters, model_name="echo")
        body["inputs"][0]["parameters"] = parameters
        body["outputs"] = [{"name": "y", "parameters": parameters}]
        assert answered(shop, "echo", body)["id"] == identifier
    assert "id" not in answered(shop, "echo", x([1], [1], id=None, parameters=None, outputs=None))
    assert refused(shop, "echo", x([1], [1], id=7)) == "'id' must be a string, not an integer"
    assert (
        refused(
            shop, "echo", '{"id": "\\ud800", "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}'
        )
        == "'id' has half of a surrogate pair"
    )


def test_outputs_may_be_asked_for_by_name(shop: Shop) -> None:
    publish_two(shop)

    def names(outputs: Any) -> list[str]:  # noqa: ANN401 - JSON
        return [output["name"] for output in answered(shop, "two", {"inputs": TWO, "outputs": outputs})["outputs"]]

    assert names([{"name": "counted"}]) == ["counted"]
    assert names([{"name": "counted"}, {"name": "same"}]) == ["counted", "same"]
    assert names([]) == names(None) == ["same", "counted"]
    for outputs, said in (
        ([{"name": "nothing"}], "the model has no output 'nothing', only 'same', 'counted'"),
        ([{"name": "same"}, {"name": "same"}], "output 'same' appears twice"),
        ([{"nom": "same"}], "outputs[0] lacks 'name'"),
        (["same"], "outputs[0] must be an object, not a string"),
        ({"name": "same"}, "'outputs' must be a list of outputs, not an object"),
    ):
        assert refused(shop, "two", {"inputs": TWO, "outputs": outputs}) == said


def test_what_the_binary_extension_would_carry_is_refused_until_it_is_spoken(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    advice = "belongs to an extension that is not spoken here: send and ask for tensors as JSON"
    whole = x([1], [1], parameters={"binary_data_output": True})
    output = x([1], [1], outputs=[{"name": "y", "parameters": {"binary_data": True}}])
    classes = x([1], [1], outputs=[{"name": "y", "parameters": {"classification": 2}}])
    raw = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]}
    for body, place in ((whole, "the body"), (output, "outputs[0]"), (classes, "outputs[0]"), (raw, "inputs[0]")):
        said = refused(shop, "echo", body)
        assert said.startswith(f"{place} has the parameter '")
        assert advice in said
    text = json.dumps(x([1], [1])).encode()
    length = str(len(text))
    response = shop.send("POST", "/v2/models/echo/infer", text + b"\0\0\0\0", inference_header_content_length=length)
    assert (response.status, b"binary tensor extension" in response.body) == (400, True)
    assert shop.send("POST", "/v2/models/echo/infer", text, inference_header_content_length=length).status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "the body is not JSON"),
        ("[]", "the body must be an object, not a list"),
        ("{} ?", "the body goes on behind its JSON document, at character 2"),
        ("{}", "the body must have 'inputs'"),
        ('{"inputs": 1}', "'inputs' must be a list of tensors, not an integer"),
        ('{"inputs": []}', "the inputs 'x' are missing"),
        ('{"inputs": [1]}', "inputs[0] must be an object, not an integer"),
        ('{"inputs": [], "inputs": []}', "the key 'inputs' appears twice in the body"),
        ('{"inputs": [], "parameters": 1}', "'parameters' of the body must be an object, not an integer"),
        ('{"inputs": [{"shape": [1], "datatype": "FP32", "data": [1]}]}', "inputs[0] lacks 'name'"),
        ('{"inputs": [{"name": 1, "shape": [1]}]}', "inputs[0].name must be a string, not an integer"),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "data": [1]}]}', "inputs[0].shape must be a list of sizes"),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "data": [1]}]}', "must be a list of sizes"),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1.0], "data": [1]}]}', "must be a list of sizes"),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [true], "data": [1]}]}', "must be a list of sizes"),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}', "inputs[0] lacks 'data'"),
        ('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": 1}]}', "inputs[0].data must be a list"),
        (x([1], [1], "FP64"), "inputs[0].datatype is 'FP64': the model's input 'x' takes FP32"),
        (x([1], [1], "BF16"), "inputs[0].datatype is 'BF16', which is no datatype here: the model's input 'x' takes"),
        (x([1, "2"], [2]), "inputs[0].data[1] must be a number, not a string"),
        (x([1, None], [2]), "inputs[0].data[1] must be a number, not null"),
        (x([1, True], [2]), "inputs[0].data[1] must be a number, not true or false"),
        (x([0, 1e39], [2]), "inputs[0].data[1] is beyond FP32"),
        (x([[1], [2, 3]], [2, 2]), "ragged: inputs[0].data[1] must be a list of 1"),
        (x([1, 2, 3], [2]), "inputs[0].data has shape [3], which is not what its 'shape' says: [2]"),
        (x([1], [10**12]), "is not what its 'shape' says"),
        (x([1], [2**62, 2**62]), "is not what its 'shape' says"),
        (x([[1, 2]], [2]), "inputs[0].data has shape [1, 2], which is not what its 'shape' says: [2]"),
        (x([1], [1] * 33), "inputs[0].shape has more than 32 dimensions"),
        (x([1, 2], [1, 2]), "input 'x' takes shape [-1], not [1, 2]"),
        ({"inputs": [tensor("z", "FP32", [1], [1])]}, "the model has no inputs 'z', only 'x'"),
        ({"inputs": [tensor("x", "FP32", [1], [1])] * 2}, "input 'x' appears twice"),
    ],
)
def test_whatever_is_wrong_with_a_body_is_said(shop: Shop, body: Any, said: str) -> None:  # noqa: ANN401 - JSON
    shop.publish_echo("echo", "FP32", -1)
    assert said in refused(shop, "echo", body)


def test_large_bodies_are_read_as_exactly_as_small_ones(shop: Shop) -> None:
    shop.publish_echo("echo", "INT64", -1)
    shop.publish_echo("words", "BYTES", -1, 2)
    numbers = [2**63 - 1, -(2**63), *range(2000)]
    assert answered(shop, "echo", x(numbers, [2002], "INT64"))["outputs"][0]["data"] == numbers
    words = [f"word {number}" for number in range(2000)]
    nested = [words[position : position + 2] for position in range(0, 2000, 2)]
    for texts in (words, nested):
        assert answered(shop, "words", x(texts, [1000, 2], "BYTES"))["outputs"][0]["data"] == words
    wrong: list[tuple[list[Any], str]] = [
        ([*range(2000), 1.5], "inputs[0].data[2000] must be an integer, not a decimal number"),
        ([*range(2000), 2**63], "inputs[0].data[2000] is beyond INT64"),
        ([[1, 2], [[3], 4], *([[5, 6]] * 1000)], "inputs[0].data[1][0] must be an integer, not a list"),
    ]
    for data, said in wrong:
        assert refused(shop, "echo", x(data, [2001], "INT64")) == said
    twice = '{"inputs": [], ' + json.dumps(x(numbers, [2002], "INT64"))[1:]
    assert "appears twice" in refused(shop, "echo", twice)


def test_scalars_and_empty_tensors_keep_their_shape(shop: Shop) -> None:
    shop.publish_echo("rows", "FP32", -1, 3)
    assert answered(shop, "rows", x([], [0, 3]))["outputs"][0] == tensor("y", "FP32", [0, 3], [])
    shop.publish(
        "total",
        [spec("x", "FP32", -1)],
        [spec("y", "FP32")],
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
    )
    assert answered(shop, "total", x([1, 2], [2]))["outputs"][0] == tensor("y", "FP32", [], [3.0])


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BOOL", [True, False]),
        ("UINT8", [0, 255]),
        ("UINT64", [2**64 - 1, 0]),
        ("INT8", [-128, 127]),
        ("INT32", [-(2**31), 2**31 - 1]),
        ("INT64", [2**63 - 1, -(2**63)]),
        ("FP16", [65504.0, 0.1]),
        ("FP32", [0.1, 3.4028235e38]),
        ("FP64", [0.1, 1.7976931348623157e308]),
        ("BYTES", ["ü", "", 'quote "', "\u0000"]),
    ],
)
def test_every_datatype_comes_back_as_it_was_sent(shop: Shop, datatype: str, data: list[Any]) -> None:
    shop.publish_echo("echo", datatype, -1)
    [output] = answered(shop, "echo", x(data, [len(data)], datatype))["outputs"]
    dtype = DATATYPES[datatype].numpy
    assert output["datatype"] == datatype
    assert np.array_equal(np.array(output["data"], dtype), np.array(data, dtype))
    assert output["data"] == data or datatype == "FP16"


def test_nan_and_infinity_are_read_and_written_as_words(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    body = '{"inputs": [{"name": "x", "shape": [3], "datatype": "FP32", "data": [NaN, Infinity, -Infinity]}]}'
    response = shop.send("POST", "/v2/models/echo/infer", body)
    assert response.body.endswith(b'"data":[NaN,Infinity,-Infinity]}]}')


@pytest.fixture
def echoes(shop: Shop) -> Shop:
    """The store with an echo of matrices for several datatypes, each called as the datatype is."""
    for datatype in ("FP32", "FP64", "INT64", "UINT64", "BOOL"):
        shop.publish_echo(datatype, datatype, -1, -1)
    return shop


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_back_the_same(echoes: Shop, data: st.DataObject) -> None:
    datatype = data.draw(st.sampled_from(["FP32", "FP64", "INT64", "UINT64", "BOOL"]))
    dtype = DATATYPES[datatype].numpy
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40)))
    model = echoes.predictor.load(Ref(datatype)).model
    given_array = array.tolist() if data.draw(st.booleans()) else array.ravel().tolist()
    call = read_body(json.dumps(x(given_array, list(array.shape), datatype)).encode(), model)
    assert call.inputs["x"].dtype == dtype
    assert call.inputs["x"].shape == array.shape
    assert np.array_equal(call.inputs["x"], array, equal_nan=dtype.kind == "f")
    written = write_answer({"y": call.inputs["x"]}, call, model, model_name="m", version=1)
    [output] = parse_exact(written)["outputs"]
    again = np.array(output["data"], dtype).reshape(output["shape"])
    assert np.array_equal(again, array, equal_nan=dtype.kind == "f")


# --- named columns ----------------------------------------------------------------------------------------------------


def columns(shape: list[int]) -> list[dict[str, Any]]:
    """A row of the classifier's columns as inputs of their own, without the last, which has a default."""
    return [tensor(name, "FP32", shape, [number / 10]) for number, name in enumerate(COLUMNS[:-1])]


def test_the_names_of_the_inputs_decide_between_tensors_and_columns(shop: Shop) -> None:
    shop.publish_diagnosis()
    row = [number / 10 for number in range(FEATURES - 1)] + [0.5]
    by_tensor = answered(shop, "diagnosis", {"inputs": [tensor("features", "FP32", [1, FEATURES], row)]})
    assert [output["name"] for output in by_tensor["outputs"]] == ["label", "probability", "probabilities"]
    assert by_tensor["outputs"][0]["data"] in (["malignant"], ["benign"])
    for shape in ([1], [1, 1]):
        assert answered(shop, "diagnosis", {"inputs": columns(shape)}) == by_tensor
    assert "the inputs 'mean feature 0' are missing" in refused(shop, "diagnosis", {"inputs": columns([1])[1:]})
    both = [*columns([1]), tensor("features", "FP32", [1, FEATURES], row)]
    assert "the model has no inputs 'mean feature 0', " in refused(shop, "diagnosis", {"inputs": both})
    assert "takes shape [-1], not [1, 2]" in refused(
        shop, "diagnosis", {"inputs": [tensor(COLUMNS[0], "FP32", [1, 2], [1, 2]), *columns([1])[1:]]}
    )
    unequal = [tensor(COLUMNS[0], "FP32", [2], [1, 2]), *columns([1])[1:]]
    assert "all of one length" in refused(shop, "diagnosis", {"inputs": unequal})


def test_columns_that_are_graph_inputs_of_their_own_have_defaults_too(shop: Shop) -> None:
    shop.publish(
        "people",
        [spec("age", "FP32", -1, 1), spec("dose", "FP32", -1, 1)],
        [spec("y", "FP32", -1, 1)],
        [helper.make_node("Add", ["age", "dose"], ["y"])],
        steps=Steps((Tabular((Column("age", "FP32"), Column("dose", "FP32", default=0.5))),)),
    )
    body = {"inputs": [tensor("age", "FP32", [2, 1], [1, 2])]}
    assert answered(shop, "people", body)["outputs"][0]["data"] == [1.5, 2.5]


# --- versions and aliases ---------------------------------------------------------------------------------------------


def test_a_version_or_an_alias_may_be_asked(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    shop.publish_echo("echo", "FP32", -1, output="z")
    shop.registry.promote("echo", 1, alias="candidate")
    for path, version, alias in (
        ("echo", "2", "production"),
        ("echo@candidate", "1", "candidate"),
        ("echo/versions/1", "1", None),
        ("echo/versions/2", "2", None),
        ("echo:2", "2", None),
    ):
        response = shop.send("POST", f"/v2/models/{path}/infer", json.dumps(x([1], [1])))
        document = json.loads(response.body)
        assert (document["model_name"], document["model_version"]) == ("echo", version)
        assert response.headers["X-Onnxlet-Model-Version"] == version
        assert response.headers.get("X-Onnxlet-Alias") == alias


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("nobody", 404, "no model named 'nobody'"),
        ("echo/versions/7", 404, "model 'echo' serves no version 7"),
        ("echo/versions/v1", 404, "model 'echo' has no version 'v1': versions are 1, 2, 3 …"),
        ("echo/versions/0", 404, "has no version '0'"),
        ("echo/versions/99999999999999999999", 404, "has no version '99999999999999999999'"),
        ("echo@nobody", 404, "model 'echo' has no alias 'nobody'"),
        ("echo@production/versions/1", 400, "'echo@production' already says which version"),
        ("..", 400, "cannot be a model name"),
    ],
)
@pytest.mark.parametrize("verb", ["", "/ready", "/infer"])
def test_an_unknown_model_or_version_is_not_found(shop: Shop, path: str, status: int, said: str, verb: str) -> None:
    shop.publish_echo("echo", "FP32", -1)
    method, body = ("POST", json.dumps(x([1], [1]))) if verb == "/infer" else ("GET", "")
    response = shop.send(method, f"/v2/models/{path}{verb}", body)
    assert response.status == status
    assert said in json.loads(response.body)["error"]


def test_a_cold_answer_says_what_took_how_long_and_an_error_whose_it_is(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    cold, warm, wrong = (
        shop.send("POST", "/v2/models/echo/infer", json.dumps(body)) for body in (x([1], [1]), x([1], [1]), {})
    )
    assert [part.split(";")[0] for part in cold.headers["Server-Timing"].split(", ")] == [
        "fetch",
        "load",
        "run",
        "total",
    ]
    assert "Server-Timing" not in warm.headers
    assert wrong.headers["X-Onnxlet-Model-Version"] == "1"


def test_a_model_that_fails_while_it_runs_is_the_callers_error(shop: Shop, store: Store, tmp_path: Path) -> None:
    tiny.publish(store, "embedder", tiny.package(tiny.embedder(), tmp_path / "embedder"))
    body = {"inputs": [tensor("ids", "INT64", [1, 1], [777])]}
    assert "777" in refused(shop, "embedder", body)


# --- metadata and health ----------------------------------------------------------------------------------------------


def test_the_server_says_what_it_is(shop: Shop) -> None:
    response = shop.send("GET", "/v2")
    assert json.loads(response.body) == {"name": "onnxlet", "version": __version__, "extensions": ["explain"]}
    assert response.headers["Content-Type"] == "application/json"


def test_a_model_says_what_it_takes_and_answers(shop: Shop) -> None:
    publish_two(shop)
    publish_two(shop)
    expected = {
        "name": "two",
        "versions": ["1", "2"],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": "numbers", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "count", "datatype": "INT64", "shape": [-1]},
        ],
        "outputs": [
            {"name": "same", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "counted", "datatype": "INT64", "shape": [-1]},
        ],
    }
    for path, version in (("two", "2"), ("two/versions/1", "1"), ("two@production", "2")):
        response = shop.send("GET", f"/v2/models/{path}")
        assert json.loads(response.body) == expected
        assert response.headers["X-Onnxlet-Model-Version"] == version


def test_a_model_is_ready_when_it_is_servable_and_nothing_is_loaded_for_that(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    for path in ("echo", "echo/versions/1", "echo@production"):
        response = shop.send("GET", f"/v2/models/{path}/ready")
        assert (response.status, json.loads(response.body)) == (200, {"name": "echo", "ready": True})
    assert not list(Path(shop.settings.cache_dir).rglob("*.onnx"))
    cold = shop.send("POST", "/v2/models/echo/infer", json.dumps(x([1], [1])))
    assert "fetch;dur=" in cold.headers["Server-Timing"]


def test_a_store_that_does_not_answer_makes_server_and_model_unready(directory_url: str, tmp_path: Path) -> None:
    shop = Shop(open_store(directory_url), tmp_path / "shop")
    shop.publish_echo("echo", "FP32", -1)
    root = tmp_path / "store"
    shutil.rmtree(root)
    root.write_text("no directory any more")
    for path, document in (
        ("/v2/health/ready", {"ready": False}),
        ("/v2/models/echo/ready", {"name": "echo", "ready": False}),
        ("/v2/models/echo", {"error": "the model store does not answer: try again later"}),
    ):
        response = shop.send("GET", path)
        assert (response.status, json.loads(response.body)) == (503, document)
        assert response.headers["Retry-After"] == "1"
    assert shop.send("GET", "/v2/health/live").status == 200
    root.unlink()


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v2", "GET, HEAD"),
        ("/v2/health/live", "GET, HEAD"),
        ("/v2/health/ready", "GET, HEAD"),
        ("/v2/models/echo", "GET, HEAD"),
        ("/v2/models/echo/ready", "GET, HEAD"),
        ("/v2/models/echo/infer", "POST"),
    ],
)
def test_another_method_is_not_allowed(shop: Shop, path: str, allowed: str) -> None:
    response = shop.send("DELETE", path)
    assert (response.status, response.headers["Allow"]) == (405, allowed)
    assert json.loads(response.body) == {"error": f"'{path}' takes {allowed}, not DELETE"}


@pytest.mark.parametrize(
    "path",
    [
        *("/v2/", "/v2/health", "/v2/models", "/v2/models/", "/v2/models/echo/", "/v2/models/echo/generate"),
        *("/v2/models/echo/versions", "/v2/models/echo/versions/1/infer/", "/v2/repository/index", "/v2/model/echo"),
    ],
)
def test_a_path_that_the_protocol_does_not_have_is_not_found(shop: Shop, path: str) -> None:
    response = shop.send("GET", path)
    assert (response.status, json.loads(response.body)) == (404, {"error": f"nothing answers at '{path}'"})


def test_head_is_answered_as_get_without_a_body(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    for path in ("/v2", "/v2/health/ready", "/v2/models/echo", "/v2/models/echo/ready"):
        response = shop.send("HEAD", path)
        assert (response.status, response.body) == (200, b"")
    assert shop.send("HEAD", "/v2/models/nobody").status == 404


def test_a_body_may_be_read_without_a_server(shop: Shop) -> None:
    shop.publish_echo("echo", "FP32", -1)
    model = shop.predictor.load(Ref("echo")).model
    with pytest.raises(InvalidInputError, match="the body must have 'inputs'"):
        read_body(b"{}", model)
