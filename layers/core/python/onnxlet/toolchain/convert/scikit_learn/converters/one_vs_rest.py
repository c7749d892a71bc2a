"""OneVsRestClassifier: the label by the classifiers' scores, as scikit-learn chooses it.

skl2onnx 1.20 chooses it by probabilities, of which several are 1 far from the boundary. ONNX Runtime's logistic
function is level below -18, so that what small ones are of their sum is lost: those of logistic regressions are
computed here.
"""

from __future__ import annotations

import copy
from typing import Any

from onnx import TensorProto

from onnxlet.toolchain.convert.scikit_learn.answers import last_step
from onnxlet.toolchain.convert.scikit_learn.converters.known_functions import expit
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter, Nodes


def one_vs_rest_converter(convert: Converter) -> Converter:
    """A converter that asks the classifiers for scores too."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        estimator = operator.raw_operator
        raw = container.get_options(estimator, {"raw_scores": False})["raw_scores"]
        if raw or estimator.multilabel_ or not _is_logistic(estimator):
            convert(scope, operator, container)
            return
        wanted = [variable.full_name for variable in operator.outputs]
        own = {name: scope.get_unique_variable_name("one_vs_rest") for name in wanted}
        add_node = container.add_node

        def add(kind: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
            names = [outputs] if isinstance(outputs, str) else outputs
            add_node(kind, inputs, [own.get(name, name) for name in names], **attributes)

        container.add_node = add
        try:
            convert(scope, operator, container)
        finally:
            del container.add_node
        nodes = Nodes(scope, container)
        label, scores = _answers_by_score(scope, operator, container)
        nodes.add("Identity", label, output=wanted[0])
        nodes.write_rows(_logistic_shares(nodes, scores), operator.outputs[1])

    return write_operator


def _logistic_shares(nodes: Nodes, scores: str) -> str:
    """What the logistic functions of scores [N, classes] are of their sum; nothing where all are nothing."""
    chances = expit(nodes, nodes.add("Cast", scores, to=TensorProto.DOUBLE))
    total = nodes.add("ReduceSum", chances, nodes.constant(TensorProto.INT64, [1], [1]), keepdims=1)
    none = nodes.add("Equal", total, nodes.doubles([0.0]))
    return nodes.add("Div", chances, nodes.add("Where", none, nodes.doubles([1.0]), total))


def _is_logistic(estimator: Any) -> bool:
    """Whether all classifiers, of which there are several, are logistic functions of scores that skl2onnx gives."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, SGDClassifier

    def is_logistic(each: Any) -> bool:
        last = last_step(each)
        by_loss = isinstance(last, SGDClassifier) and last.loss == "log_loss"
        return by_loss or isinstance(last, LogisticRegression | LinearDiscriminantAnalysis)

    return len(estimator.estimators_) > 1 and all(map(is_logistic, estimator.estimators_))


def _answers_by_score(scope: Any, operator: Any, container: Any) -> tuple[str, str]:
    """The label and the scores of the same classifiers, told to give scores."""
    from skl2onnx import get_model_alias

    # options go by the object's id, and a copy has its own
    scored = copy.copy(operator.raw_operator)
    scored.estimators_ = [copy.copy(each) for each in scored.estimators_]
    operator.scored_copy = scored
    for options in (scope, container):
        options.add_options(id(scored), {"raw_scores": True})
    part = scope.declare_local_operator(get_model_alias(type(scored)), scored)
    part.inputs = operator.inputs
    label = scope.declare_local_variable("label_by_score", type(operator.outputs[0].type)())
    scores = scope.declare_local_variable("scores", type(operator.outputs[1].type)())
    part.outputs.extend((label, scores))
    return str(label.onnx_name), str(scores.onnx_name)
