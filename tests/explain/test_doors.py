"""Explanations over HTTP: TensorFlow Serving's paths, the Open Inference Protocol's, and beside normal predictions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from doors import Answer
from laboratory import Laboratory, background_of, perceptron, product
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request
from onnxlet.errors import ExecutionError
from onnxlet.values.signature import TensorSpec

NAMES = ("age", "dose", "weight", "height")
ROW = dict(zip(NAMES, (0.5, -1.0, 2.0, 0.25), strict=True))


@pytest.fixture
def named(laboratory: Laboratory) -> Laboratory:
    """`product` of four named columns."""
    rows = background_of(12, 4)
    product(laboratory, columns=NAMES, background={name: rows[:, place] for place, name in enumerate(NAMES)})
    return laboratory


def post(laboratory: Laboratory, path: str, document: Any) -> Answer:  # noqa: ANN401 - JSON
    """An answer."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = DataPlane(laboratory.predictor).answer(Request("POST", path, "", {}, body))
    assert isinstance(answer.body, bytes)
    return Answer(answer.status, answer.body, answer.headers)


def explained(laboratory: Laboratory, path: str, document: Any) -> Any:  # noqa: ANN401 - JSON
    """The document of an answer that is right."""
    answer = post(laboratory, path, document)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.mark.parametrize("suffix", ["", "/versions/1", "/labels/production"])
def test_explain_answers_predictions_with_attributions_that_sum(named: Laboratory, suffix: str) -> None:
    answer = explained(named, f"/v1/models/product{suffix}:explain", {"instances": [ROW]})
    [prediction], [row], head = answer["predictions"], answer["explanations"], answer["explained"]
    assert list(row["attributions"]["y"]) == list(NAMES)
    total = head["expected"]["y"] + sum(row["attributions"]["y"].values())
    assert total == pytest.approx(prediction, abs=1e-5)
    assert prediction == pytest.approx(np.prod([1 + value for value in ROW.values()]))
    assert (head["method"], head["unit"], head["background"]["kind"]) == ("exact", "value", "synthetic")


def test_what_is_asked_goes_with_the_rows(laboratory: Laboratory) -> None:
    perceptron(laboratory)
    document = {
        "instances": background_of(2, 30, seed=3).tolist(),
        "explain": {"classes": ["p[1]"], "seed": 5, "max_evaluations": 1000},
    }
    answer = explained(laboratory, "/v1/models/perceptron:explain", document)
    assert (answer["explained"]["seed"], answer["explained"]["pairs"]) == (5, 17)
    assert answer["explained"]["unreliable"] is True
    for row in answer["explanations"]:
        assert list(row["interval"]) == ["p[1]"]


def test_predictions_are_explained_where_they_are_above(named: Laboratory) -> None:
    rows = [ROW, dict.fromkeys(NAMES, 3.0)]
    document = {"instances": rows, "explain": {"above": 100}}
    answer = explained(named, "/v1/models/product:predict", document)
    assert answer["predictions"] == pytest.approx([0.0, 256.0])
    assert answer["explanations"][0] is None
    assert answer["explanations"][1]["prediction"]["y"] == pytest.approx(256)
    none = explained(named, "/v1/models/product:predict", {"instances": rows, "explain": {"above": 1000}})
    assert none["explanations"] == [None, None]
    always = explained(named, "/v1/models/product:predict", {"instances": rows, "explain": True})
    assert None not in always["explanations"]


@pytest.mark.parametrize("option", [{}, {"explain": False}, {"explain": None}])
def test_a_prediction_without_the_option_has_no_explanation(named: Laboratory, option: dict[str, Any]) -> None:
    answer = explained(named, "/v1/models/product:predict", {"instances": [ROW], **option})
    assert list(answer) == ["predictions"]


def test_a_large_body_is_explained_as_a_small_one(named: Laboratory) -> None:
    rows = [ROW] * 3000
    document = {"explain": {"above": 10**6, "classes": ["y"]}, "instances": rows}
    answer = explained(named, "/v1/models/product:predict", document)
    assert answer["explanations"] == [None] * 3000


def test_whole_tensors_are_explained_too(named: Laboratory) -> None:
    answer = explained(named, "/v1/models/product:explain", {"inputs": [list(ROW.values())]})
    assert list(answer) == ["outputs", "explanations", "explained"]
    assert len(answer["explanations"]) == 1


def test_the_open_inference_protocol_explains_in_tensors(named: Laboratory) -> None:
    inputs = [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [*ROW.values(), 1, 1, 1, 1]}]
    answer = explained(named, "/v2/models/product/explain", {"id": "7", "inputs": inputs})
    tensors = {tensor["name"]: tensor for tensor in answer["outputs"]}
    values = np.reshape(tensors["explain_attributions"]["data"], tensors["explain_attributions"]["shape"])
    assert values.shape == (2, 4, 1)
    assert tensors["explain_players"]["data"] == list(NAMES)
    expected = tensors["explain_expected"]["data"][0]
    np.testing.assert_allclose(values.sum(axis=1)[:, 0] + expected, tensors["y"]["data"], atol=1e-5)
    assert answer["parameters"]["explain_method"] == "exact"
    assert answer["parameters"]["explain_background_kind"] == "synthetic"
    assert all(isinstance(value, str | int | float) for value in answer["parameters"].values())


def test_an_inference_is_explained_by_parameters(laboratory: Laboratory) -> None:
    perceptron(laboratory)
    inputs = [{"name": "x", "shape": [1, 30], "datatype": "FP32", "data": background_of(1, 30)[0].tolist()}]
    parameters = {"explain": True, "explain_classes": "p[1], p[0]", "explain_seed": 4, "explain_max_evaluations": 200}
    answer = explained(laboratory, "/v2/models/perceptron/infer", {"inputs": inputs, "parameters": parameters})
    tensors = {tensor["name"]: tensor for tensor in answer["outputs"]}
    assert tensors["explain_classes"]["data"] == ["p[1]", "p[0]"]
    assert tensors["explain_interval"]["shape"] == [1, 30, 2]
    assert answer["parameters"]["explain_seed"] == 4
    plain = explained(laboratory, "/v2/models/perceptron/infer", {"inputs": inputs, "parameters": {"explain": False}})
    assert [tensor["name"] for tensor in plain["outputs"]] == ["p"]
    assert "parameters" not in plain


def test_classes_are_looked_up_no_more_often_than_there_are_some(named: Laboratory) -> None:
    many = {"instances": [ROW], "explain": {"classes": [0] * 1_000_000}}
    inputs = [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": list(ROW.values())}]
    open_many = {"inputs": inputs, "parameters": {"explain_classes": "y," * 1_000_000 + "y"}}
    for path, document in (("/v1/models/product:explain", many), ("/v2/models/product/explain", open_many)):
        answer = post(named, path, document)
        assert answer.status == 400
        assert b"names 1,000,00" in answer.body


@pytest.mark.parametrize("rows", [1, 2000])
def test_an_option_that_is_asked_twice_is_refused(named: Laboratory, rows: int) -> None:
    instances = json.dumps([list(ROW.values())] * rows)
    body = f'{{"instances":{instances},"explain":{{"seed":1,"seed":2}}}}'
    answer = post(named, "/v1/models/product:explain", body.encode())
    assert answer.status == 400
    assert b"the key 'seed' appears twice in 'explain'" in answer.body


@pytest.mark.parametrize(
    ("explain", "status", "words"),
    [
        ({"max_evaluations": 0}, 400, "nothing can be explained"),
        ({"method": "gradients"}, 400, "gradients are not computed"),
        ({"method": "sampled", "max_evaluations": 5}, 400, "at least 12 for 4 players"),
        ("yes", 400, "'explain' is true, or an object"),
        ([1], 400, "'explain' is true, or an object"),
        ({"output": "label"}, 400, "no output 'label'"),
        ({"overlay": True}, 400, "'overlay' is of pictures"),
        ({"max_ms": 0.001}, 422, "'max_ms' was over"),
    ],
)
def test_what_is_asked_wrongly_is_the_callers_error(
    named: Laboratory,
    explain: Any,  # noqa: ANN401 - JSON
    status: int,
    words: str,
) -> None:
    answer = post(named, "/v1/models/product:explain", {"instances": [ROW], "explain": explain})
    assert answer.status == status
    assert words in json.loads(answer.body)["error"]


def test_a_version_without_a_background_says_so(laboratory: Laboratory) -> None:
    product(laboratory, background=None)
    answer = post(laboratory, "/v1/models/product:explain", {"instances": [[1, 2, 3, 4]]})
    assert answer.status == 422
    assert "no background" in json.loads(answer.body)["error"]
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    assert post(laboratory, "/v2/models/product/explain", body).status == 422


def test_explanations_are_part_of_the_openapi_document() -> None:
    from openapi_spec_validator import validate

    from onnxlet.dataplane.protocols.open_inference import openapi as open_inference
    from onnxlet.dataplane.protocols.tensorflow_serving import openapi as serving

    paths = serving.PATHS | open_inference.PATHS
    assert "/v1/models/{model}:explain" in paths
    assert "/v2/models/{model}/versions/{version}/explain" in paths
    validate(
        {
            "openapi": "3.1.0",
            "info": {"title": "t", "version": "1"},
            "paths": paths,
            "components": {"schemas": serving.SCHEMAS | open_inference.SCHEMAS},
        }
    )


def test_a_direct_invocation_is_explained_too(named: Laboratory) -> None:
    event = {"model": "product", "instances": [ROW], "explain": {"method": "exact"}}
    answer = DataPlane(named.predictor).invoke(event)
    assert list(answer["explanations"][0]["attributions"]["y"]) == list(NAMES)
    assert answer["model_version"] == 1


def test_what_a_direct_invocation_raises_repeats_no_value_where_explaining_fails(laboratory: Laboratory) -> None:
    laboratory.publish(
        "embedder",
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "place"], ["y"]),
        ],
        {"axes": np.array([1]), "table": np.arange(777, dtype=np.float32)},
        features=2,
        outputs=[TensorSpec("y", "FP32", (-1,))],
        background={"x": np.array([[400, 0]], dtype=np.float32)},
    )
    event = {"model": "embedder", "instances": [[0, 500]]}
    assert DataPlane(laboratory.predictor).invoke(event)["predictions"] == [500]
    assert "900" in post(laboratory, "/v1/models/embedder:explain", {"instances": [[0, 500]]}).body.decode()
    with pytest.raises(ExecutionError) as error:
        DataPlane(laboratory.predictor).invoke({**event, "explain": True})
    assert "900" not in f"{error.value}{error.value.__cause__}"
