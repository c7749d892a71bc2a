"""Decision functions: what a classifier without probabilities tells its classes by, served beside the label."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlet.steps.method import Method
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.scikit_learn.answers import last_step
from onnxlet.toolchain.workbench.shapes import declare_shape
from onnxlet.values.tensors import Tensor

DECISION = "decision"
OPTIONS = {
    # a LinearSVC gives nothing else, and its converter takes no option
    "LinearSVC": {},
    # of two classes it would give votes
    "SVC": {"zipmap": False, "raw_scores": True},
    "NuSVC": {"zipmap": False, "raw_scores": True},
}
"""What skl2onnx must be told for the decision function to be the second output, by class."""


def has_decision(estimator: Any) -> bool:
    """Whether the decision function is all that it tells beside the label."""
    return hasattr(estimator, "decision_function") and not hasattr(estimator, "predict_proba")


def decision_of(estimator: Any, rows: Any) -> Tensor:
    """Its own: [N] of two classes, else [N, classes] or one for each pair of classes."""
    return np.asarray(estimator.decision_function(rows), dtype=np.float64)


def options_of(part: Any) -> dict[str, bool]:
    """What skl2onnx must be told of the estimator's last step."""
    return OPTIONS.get(type(last_step(part)).__name__, {"zipmap": False})


def finish_decision(graph: Any, shape: tuple[int, ...]) -> Method:
    """Name and shape the graph's second output, for a decision function of this shape."""
    name = graph_edits.output_name(graph, DECISION)
    graph_edits.rename_value(graph, graph.output[1].name, name)
    if len(shape) == 1:
        graph_edits.keep_last_column(graph, name)
        graph_edits.flatten_output(graph, name)
    else:
        declare_shape(graph.output[1], [-1, *shape[1:]])
    return Method("decision_function", name)
