"""Votes: BaggingClassifier of estimators without probabilities, whose shares of votes count, and OneVsOneClassifier.

skl2onnx 1.20 adds the votes of the first up along the wrong axis, and gives the numbers of classes for the second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.toolchain.convert.scikit_learn.nodes import Converter, Nodes


def bagging_converter(convert: Converter) -> Converter:
    """A converter that counts votes where there are no probabilities."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        bagging = operator.raw_operator
        options = container.get_options(bagging, {"raw_scores": False})
        if options["raw_scores"] or hasattr(bagging.estimators_[0], "predict_proba"):
            convert(scope, operator, container)
        else:
            _write_votes(scope, operator, container)

    return write_operator


def one_vs_one_converter(convert: Converter) -> Converter:
    """A converter that gives the class which most pairs chose, not its number."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        nodes, add_node = Nodes(scope, container), container.add_node
        wanted = operator.outputs[0].full_name

        def add(kind: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
            if kind == "ArgMax":
                chosen = scope.get_unique_variable_name("chosen")
                add_node(kind, [operator.outputs[1].full_name], chosen, **{**attributes, "keepdims": 0})
                add_node("Gather", [nodes.labels(operator.raw_operator.classes_), chosen], wanted)
            else:
                add_node(kind, inputs, outputs, **attributes)

        container.add_node = add
        try:
            convert(scope, operator, container)
        finally:
            del container.add_node

    return write_operator


def _write_votes(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.common.data_types import guess_proto_type

    bagging, nodes = operator.raw_operator, Nodes(scope, container)
    classes = bagging.classes_
    numbers = nodes.constant(TensorProto.INT64, [1, len(classes)], np.arange(len(classes)))
    votes = [
        nodes.add("Cast", nodes.add("Equal", vote, numbers), to=TensorProto.FLOAT)
        for vote in (
            _vote(scope, operator, nodes, *pair)
            for pair in zip(bagging.estimators_, bagging.estimators_features_, strict=True)
        )
    ]
    count = nodes.constant(TensorProto.FLOAT, [1], [float(len(votes))])
    shares = nodes.add("Div", nodes.add("Sum", *votes), count)
    chosen = nodes.add("ArgMax", shares, axis=1, keepdims=0)
    nodes.add("Gather", nodes.labels(classes), chosen, output=operator.outputs[0].full_name)
    nodes.add("Cast", shares, to=guess_proto_type(operator.outputs[1].type), output=operator.outputs[1].full_name)


def _vote(scope: Any, operator: Any, nodes: Nodes, estimator: Any, features: Any) -> str:
    """The number of the class that one estimator votes for [N, 1]; it was fitted on these numbers."""
    from skl2onnx import get_model_alias
    from skl2onnx.common.data_types import Int64TensorType

    kind = type(operator.inputs[0].type)
    part = scope.declare_local_operator(get_model_alias(type(estimator)), estimator)
    chosen = scope.declare_local_variable("chosen_features", kind([None, len(features)]))
    places = nodes.constant(TensorProto.INT64, [len(features)], features)
    nodes.add("Gather", operator.inputs[0].full_name, places, axis=1, output=chosen.full_name)
    part.inputs.append(chosen)
    label = scope.declare_local_variable("vote", Int64TensorType())
    scores = scope.declare_local_variable("vote_scores", kind())
    part.outputs.extend((label, scores))
    return nodes.add("Reshape", label.onnx_name, nodes.constant(TensorProto.INT64, [2], [-1, 1]))
