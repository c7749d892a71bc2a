"""Tasks: whether a model classifies, regresses, embeds or marks positions, and how its answers are measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Names, Steps, names_of
from onnxlet.toolchain.workbench.metrics import (
    ClassificationMeasures,
    MeanMeasure,
    Measures,
    MultiTargetMeasures,
    RegressionMeasures,
    positions,
)
from onnxlet.toolchain.workbench.output_meaning import default_task
from onnxlet.toolchain.workbench.segmentation import Segmentation, segmentation_of
from onnxlet.values.contract import TaskKind
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.tensors import Tensor, Tensors


@dataclass(frozen=True)
class ClassificationTarget:
    """One target of a classifier: its class values, their labels if any, and its name if it is one of several."""

    classes: tuple[int | str, ...]
    labels: tuple[str, ...] = ()
    name: str = ""

    @property
    def answers(self) -> Names:
        """The names of the outputs that answer it."""
        return names_of(self.name)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names for people."""
        labels = self.labels or tuple(map(str, self.classes))
        return tuple(f"{self.name}: {name}" for name in labels) if self.name else labels

    def positions(self, values: Tensor) -> Tensor:
        """The position of each class value among the classes; -1 for an unknown value."""
        return positions(values, _array(self.classes))

    def measures(self, answers: Tensors, truth: Tensor) -> ClassificationMeasures:
        """The measures of these answers to the target, by its truth [rows]."""
        label = self.positions(answers[self.answers.label])
        probabilities = answers.get(self.answers.probabilities)
        return ClassificationMeasures(self.positions(truth), label, probabilities, len(self.classes))


@dataclass(frozen=True)
class Task:
    """The kind of a model's answers, a classifier's targets, and where classes are scored at positions."""

    kind: TaskKind
    targets: tuple[ClassificationTarget, ...] = ()
    segmentation: Segmentation | None = None
    guessed: bool = False
    """Whether nothing but the shape of the answers tells the kind."""

    @property
    def metric(self) -> str | None:
        """The name of the task's main metric."""
        return _METRICS.get(self.kind)

    @property
    def less_is_better(self) -> bool:
        """Whether the metric counts errors."""
        return self.kind == "regression"

    def targets_with_truth(self, truth: Tensor) -> list[tuple[ClassificationTarget, Tensor]]:
        """A classifier's targets, each with its column of the truth."""
        return list(zip(self.targets, columns_of(truth), strict=True))

    def truth_by_target(self, truth: Tensor) -> dict[str, Tensor]:
        """Each target's column of the truth by name; the name is empty where there is one target."""
        columns = columns_of(truth)
        if len(columns) == 1:
            return {"": columns[0]}
        names = [target.name for target in self.targets] or [str(index + 1) for index in range(len(columns))]
        return dict(zip(names, columns, strict=True))

    def measures(self, answers: Tensors, truth: Tensor | None, reference: Tensors) -> Measures | None:
        """The measures of these answers; None if there is nothing to measure them by.

        `truth` is [rows], [rows, targets] or a class at each position. Embeddings, and positions without a truth, are
        measured by the `reference` answers. Raises InvalidInputError for answers that no truth can be compared with.
        """
        if self.segmentation is not None:
            return self.segmentation.measures(answers, truth, reference)
        if self.kind == "embedding":
            return MeanMeasure("cosine", 1 - cosine_distances(reference, answers))
        if truth is None:
            return None
        if self.kind == "classification":
            return _combine(
                {target.name: target.measures(answers, known) for target, known in self.targets_with_truth(truth)}
            )
        (prediction,) = answers.values() if len(answers) == 1 else (np.empty(0),)
        known = self.truth_by_target(truth)
        if prediction.size != truth.size:
            raise InvalidInputError(
                "the model does not answer with one number per row and --target, which could be compared: name a "
                "classifier's classes with --labels, name every target of a model, or leave --target out"
            )
        predicted = columns_of(prediction.reshape(truth.shape))
        return _combine(
            {name: RegressionMeasures(column, of) for (name, column), of in zip(known.items(), predicted, strict=True)}
        )


def task_of(steps: Steps, answers: Tensors, truth: Tensor | None, outputs: OutputMeaning | None = None) -> Task:
    """The task of a model with these steps, judged by what the manifest says of its outputs, else by their shape."""
    if steps.targets:
        return Task(
            "classification",
            tuple(ClassificationTarget(step.classes, step.labels, step.target) for step in steps.targets),
        )
    segmentation = segmentation_of(outputs, answers)
    guessed = outputs is None or outputs.said_by == "answers"
    if segmentation is not None:
        return Task("segmentation", segmentation=segmentation, guessed=guessed and truth is None)
    if outputs is not None and outputs.task is not None:
        return Task(outputs.task)
    kind = default_task(answers, truth=truth is not None)
    return Task(kind, guessed=kind == "embedding")


def cosine_distances(expected: Tensors, got: Tensors) -> Tensor:
    """1 - the cosine of each row's vectors [rows]; the largest if there are several. Two zero vectors are 0 apart."""
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


_METRICS = {"classification": "accuracy", "regression": "rmse", "embedding": "cosine", "segmentation": "dice"}


def columns_of(truth: Tensor) -> list[Tensor]:
    """The columns of the truth [rows, targets]; the truth itself if it is [rows], or numbers at positions."""
    return list(truth.T) if truth.ndim == 2 else [truth]  # noqa: PLR2004


def _combine(targets: dict[str, Measures]) -> Measures:
    return MultiTargetMeasures(targets) if len(targets) > 1 else next(iter(targets.values()))


def _array(classes: tuple[int | str, ...]) -> Tensor:
    return np.array(classes, dtype=object)
