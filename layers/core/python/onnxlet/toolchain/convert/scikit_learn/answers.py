"""Answers of estimators that learn without a target: outlier detectors, clusterers, mixtures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.steps.method import Method
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.workbench.shapes import declare_shape
from onnxlet.values.tensors import Tensors

LABEL = "label"


@dataclass(frozen=True)
class Answers:
    """What is served of a kind of estimator: the estimator's own method for each output of the graph, in its order."""

    methods: dict[str, str]
    options: dict[str, bool] = field(default_factory=dict)
    """What skl2onnx must be told for them."""
    in_double: bool = False
    """Whether single precision loses too much far from the rows that it was fitted on."""

    def ask(self, estimator: Any, rows: Any) -> Tensors:
        """The estimator's own answers, by the names of outputs."""
        answers = {name: np.asarray(getattr(estimator, method)(rows)) for name, method in self.methods.items()}
        return {name: values.astype(np.int64 if name == LABEL else np.float64) for name, values in answers.items()}

    def finish(self, graph: Any, classes: int) -> tuple[Method, ...]:
        """Name and shape the graph's outputs: [N], or [N, classes] where there is one for each cluster."""
        methods = []
        outputs = [value.name for value in graph.output][: len(self.methods)]
        graph_edits.keep_outputs(graph, outputs)
        for current, wanted in zip(outputs, self.methods, strict=True):
            name = graph_edits.output_name(graph, wanted)
            graph_edits.rename_value(graph, current, name)
            methods.append(Method(self.methods[wanted], name))
            if wanted in ("probabilities", "distances"):
                (value,) = (each for each in graph.output if each.name == name)
                declare_shape(value, [-1, classes])
            else:
                graph_edits.flatten_output(graph, name)
        return tuple(methods)


_OUTLIERS = Answers({LABEL: "predict", "score": "decision_function"})
_CLUSTERS = Answers({LABEL: "predict", "distances": "transform"})
_PLAIN_CLUSTERS = Answers({LABEL: "predict"})
_MIXTURES = Answers(
    {LABEL: "predict", "probabilities": "predict_proba", "score": "score_samples"},
    {"score_samples": True},
    in_double=True,
)


def answers_of(estimator: Any) -> Answers:
    """What the estimator answers. Raises ConversionError for one that answers no new rows, and for transformers."""
    from sklearn.base import is_clusterer, is_outlier_detector

    last = last_step(estimator)
    name = type(last).__name__
    kinds: tuple[tuple[Callable[[Any], bool], str], ...] = (
        (is_outlier_detector, "fit it with novelty=True" if hasattr(last, "novelty") else ""),
        (is_clusterer, "use KMeans, or fit a classifier on its labels_"),
    )
    for is_kind, advice in kinds:
        if is_kind(estimator):
            if not hasattr(last, "predict"):
                raise ConversionError(f"the {name} only judges the rows that it was fitted on: {advice}")
            if is_kind is is_outlier_detector:
                return _OUTLIERS
            return _CLUSTERS if hasattr(last, "transform") else _PLAIN_CLUSTERS
    if hasattr(last, "predict_proba") and hasattr(last, "score_samples"):
        return _MIXTURES
    raise ConversionError(
        f"the {name} predicts nothing: classifiers, regressors, outlier detectors, clusterers and mixtures are "
        "converted; convert a transformer with skl2onnx and publish the .onnx file",
        estimator=name,
    )


def last_step(estimator: Any) -> Any:
    """The last step of a pipeline, which says what it is; the estimator itself where it is none."""
    steps = getattr(estimator, "steps", None)
    return last_step(steps[-1][1]) if steps else estimator


def cluster_count(estimator: Any) -> int:
    """How many clusters or components there are."""
    last = last_step(estimator)
    centres = getattr(last, "cluster_centers_", getattr(last, "means_", ()))
    return len(centres)
