"""FixedThresholdClassifier and TunedThresholdClassifierCV: the label of a classifier by a threshold of its scores.

skl2onnx 1.20 has no converter for the first, and gives the inner classifier's own label for the second.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes


class Rule(NamedTuple):
    """How a label follows from the inner classifier's scores."""

    method: str
    """What gives them: `predict_proba` or `decision_function`."""
    positive: int
    """The index of the class that is chosen where the score is not below the threshold."""
    threshold: float


def declare(operator: Any) -> None:
    """Declare a classifier's outputs."""
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    calculate_linear_classifier_output_shapes(operator)


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the inner classifier, and the label by its scores."""
    estimator, nodes = operator.raw_operator, Nodes(scope, container)
    inner, rule = inner_classifier(estimator), rule_of(estimator)
    shares = _scores(scope, operator, container, inner)
    scores = shares
    if rule.method == "decision_function" and hasattr(inner, "decision_function"):
        # options go by the object's id, and a copy has its own
        raw = copy.copy(inner)
        for options in (scope, container):
            options.add_options(id(raw), {"raw_scores": True})
        scores = _scores(scope, operator, container, raw)
        operator.raw_copy = raw
    positive = _is_positive(nodes, scores, rule)
    _write_label(nodes, operator, positive, estimator.classes_, rule.positive)
    datatype = _datatype(operator.outputs[1])
    nodes.add("Cast", shares, to=datatype, output=operator.outputs[1].full_name)


def inner_classifier(estimator: Any) -> Any:
    """The fitted classifier whose scores are judged."""
    return getattr(estimator, "estimator_", None) or estimator.estimator


def rule_of(estimator: Any) -> Rule:
    """The rule by which its `predict` chooses."""
    inner = inner_classifier(estimator)
    method = estimator.response_method
    if method == "auto":
        method = "predict_proba" if hasattr(inner, "predict_proba") else "decision_function"
    if hasattr(estimator, "best_threshold_"):
        threshold, label = estimator.best_threshold_, estimator._curve_scorer._get_pos_label()  # noqa: SLF001 - there is no public way
    else:
        threshold, label = estimator.threshold, estimator.pos_label
    if isinstance(threshold, str):
        threshold = 0.5 if method == "predict_proba" else 0.0
    positive = 1 if label is None else int(np.flatnonzero(estimator.classes_ == label)[0])
    return Rule(method, positive, float(threshold))


def _scores(scope: Any, operator: Any, container: Any, inner: Any) -> str:
    """The inner classifier's second output: probabilities, or raw scores where it was told so."""
    from skl2onnx import get_model_alias
    from skl2onnx.common.data_types import Int64TensorType

    for options in (scope, container):
        options.add_options(id(inner), {"zipmap": False})
    part = scope.declare_local_operator(get_model_alias(type(inner)), inner)
    part.inputs = operator.inputs
    label = scope.declare_local_variable("inner_label", Int64TensorType())
    scores = scope.declare_local_variable("inner_scores", type(operator.outputs[1].type)())
    part.outputs.extend((label, scores))
    return str(scores.onnx_name)


def _is_positive(nodes: Nodes, scores: str, rule: Rule) -> str:
    """Where the score [N, 1] of the positive class is not below the threshold."""
    doubled = nodes.add("Cast", scores, to=TensorProto.DOUBLE)
    if rule.method == "predict_proba":
        column = nodes.constant(TensorProto.INT64, [1], [rule.positive])
        score = nodes.add("Gather", doubled, column, axis=1)
        threshold = rule.threshold
    else:
        score = nodes.add("Gather", doubled, nodes.constant(TensorProto.INT64, [1], [-1]), axis=1)
        score = score if rule.positive else nodes.add("Neg", score)
        threshold = rule.threshold
    # a score in single precision that is as near to the threshold as can be is meant to be equal to it
    threshold = min(threshold, float(np.float32(threshold)))
    return nodes.add("GreaterOrEqual", score, nodes.constant(TensorProto.DOUBLE, [1], [threshold]))


def _write_label(nodes: Nodes, operator: Any, positive: str, classes: Any, index: int) -> None:
    whole = nodes.add("Cast", positive, to=TensorProto.INT64)
    flat = nodes.add("Reshape", whole, nodes.constant(TensorProto.INT64, [1], [-1]))
    values = list(classes) if index else list(classes)[::-1]
    if isinstance(values[0], str):
        known = nodes.constant(TensorProto.STRING, [2], [value.encode() for value in values])
    else:
        known = nodes.constant(TensorProto.INT64, [2], [int(value) for value in values])
    nodes.add("Gather", known, flat, output=operator.outputs[0].full_name)


def _datatype(variable: Any) -> int:
    from skl2onnx.common.data_types import guess_proto_type

    return int(guess_proto_type(variable.type))
