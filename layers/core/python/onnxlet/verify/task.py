"""The task that a model has: what its answers are, and by what they are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.manifest import Steps
from onnxlet.steps.classification import LABEL, PROBABILITIES
from onnxlet.tensors import Tensor, Tensors
from onnxlet.verify.metrics import ClassificationMeasures, MeanMeasure, Measures, RegressionMeasures, positions

FEWEST_DIMENSIONS = 16
"""Of vectors that are taken for embeddings when there is no truth to compare them with."""


@dataclass(frozen=True)
class Task:
    """What a model's answers are. `classes` are a classifier's class values, `labels` their names if it has such."""

    kind: Literal["classification", "regression", "embedding", "tensors"]
    classes: tuple[int | str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def metric(self) -> str | None:
        """The name of the metric that tells most."""
        return {"classification": "accuracy", "regression": "rmse", "embedding": "cosine"}.get(self.kind)

    @property
    def names(self) -> tuple[str, ...]:
        """What people call the classes."""
        return self.labels or tuple(map(str, self.classes))

    @property
    def less_is_better(self) -> bool:
        """Whether the metric counts errors."""
        return self.kind == "regression"

    def positions(self, values: Tensor) -> Tensor:
        """Where each class value stands among the classes; -1 for one that is none."""
        return positions(values, _array(self.classes))

    def measures(self, answers: Tensors, truth: Tensor | None, reference: Tensors) -> Measures | None:
        """How to measure the answers; None if there is nothing to measure them by.

        Raises InvalidInputError for answers that the truth cannot be compared with.
        """
        if self.kind == "embedding":
            return MeanMeasure("cosine", 1 - cosine_distances(reference, answers))
        if truth is None:
            return None
        if self.kind == "classification":
            return self.classified(answers, truth)
        (prediction,) = answers.values() if len(answers) == 1 else (np.empty(0),)
        if prediction.size != truth.size:
            raise InvalidInputError(
                "the model does not answer with one number per row, which a target could be compared with: leave "
                "--target out"
            )
        return RegressionMeasures(truth, prediction)

    def classified(self, answers: Tensors, truth: Tensor) -> ClassificationMeasures:
        """How to measure a classifier's answers."""
        given = self.positions(answers[LABEL])
        return ClassificationMeasures(self.positions(truth), given, answers.get(PROBABILITIES), len(self.classes))


def task_of(steps: Steps, answers: Tensors, truth: Tensor | None) -> Task:
    """The task of a model with these steps, whose answers look like this."""
    if steps.classification is not None:
        return Task("classification", steps.classification.classes, steps.classification.labels)
    floats = [tensor for tensor in answers.values() if tensor.dtype.kind == "f"]
    single = len(answers) == 1 and len(floats) == 1
    if single and (truth is not None or floats[0].size == len(floats[0])):
        return Task("regression")
    if floats and all(tensor.ndim > 1 and tensor.shape[-1] >= FEWEST_DIMENSIONS for tensor in floats):
        return Task("embedding")
    return Task("tensors")


def cosine_distances(expected: Tensors, got: Tensors) -> Tensor:
    """1 - cosine between the vectors of each row: of several the farthest. Two zero vectors are 0 apart."""
    farthest = None
    for name, tensor in expected.items():
        if tensor.dtype.kind != "f":
            continue
        left, right = tensor.astype(np.float64), got[name].astype(np.float64)
        lengths = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = np.where((left == right).all(axis=-1), 1.0, (left * right).sum(axis=-1) / lengths)
        distance = (1 - np.where(np.isfinite(cosine), cosine, 0.0)).reshape(len(left), -1).max(axis=1)
        farthest = distance if farthest is None else np.maximum(farthest, distance)
    return np.zeros(0) if farthest is None else farthest


def _array(classes: tuple[int | str, ...]) -> Tensor:
    return np.array(classes, dtype=object)
