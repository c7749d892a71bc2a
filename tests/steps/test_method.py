"""Methods: outputs of the graph are served as they are, beside what other steps make, and cost a request nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import tiny
from onnxlet.errors import RejectedModelError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.steps import Classification, Steps, decode_steps
from onnxlet.steps.method import Method
from onnxlet.store import Store
from onnxlet.values.refs import Ref
from onnxlet.values.signature import Signature, TensorSpec

GRAPH = Signature(
    (TensorSpec("x", "FP32", (-1, 3)),),
    (TensorSpec("kind", "INT64", (-1,)), TensorSpec("margin", "FP32", (-1,)), TensorSpec("other", "FP32", (-1, 2))),
)
KINDS = Classification("kind", None, (), (3, 5))
STEPS = Steps((KINDS, Method("decision_function", "margin")))


def test_documents_are_read_back() -> None:
    assert STEPS.documents[1] == {"kind": "method", "name": "decision_function", "output": "margin"}
    assert decode_steps(STEPS.documents) == STEPS


def test_its_output_is_served_beside_what_other_steps_make() -> None:
    assert STEPS.methods == {"decision_function": "margin"}
    assert [spec.name for spec in STEPS.outputs(GRAPH)] == ["label", "margin"]
    assert [spec.name for spec in Steps((KINDS,)).outputs(GRAPH)] == ["label"]
    assert STEPS.postprocessors()[0].provides == ("label",)
    assert len(STEPS.postprocessors()) == 1
    STEPS.check(GRAPH, STEPS.served(GRAPH))


def test_one_that_the_graph_lacks_is_rejected() -> None:
    steps = Steps((KINDS, Method("decision_function", "distance")))
    with pytest.raises(RejectedModelError, match="'distance', which the graph lacks"):
        steps.check(GRAPH, GRAPH)


def test_a_model_answers_by_it_as_the_graph_does(tmp_path: Path, store: Store) -> None:
    steps = Steps((Classification("label", None, ("no", "yes"), (0, 1)), Method("predict_proba", "probabilities")))
    graph = tiny.classifier_package(tmp_path / "graph")[0].graph
    package = tiny.package(tiny.classifier(), tmp_path / "model", steps=steps, signature=steps.served(graph))
    tiny.publish(store, "diagnosis", package)
    model = Predictor(store, Settings(cache_dir=str(tmp_path / "cache"))).served(Ref("diagnosis")).model

    answers = model.predict({"input": np.array([[1, 1, 0], [0, 0, 3]], dtype=np.float32)})

    assert list(answers) == ["label", "probabilities"]
    assert answers["label"].tolist() == ["yes", "no"]
    assert answers["probabilities"].argmax(axis=1).tolist() == [1, 0]
    only = model.predict({"input": np.ones((1, 3), dtype=np.float32)}, outputs=["probabilities"])
    assert list(only) == ["probabilities"]
