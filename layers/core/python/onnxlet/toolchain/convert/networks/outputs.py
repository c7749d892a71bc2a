"""Outputs: what a network's answers are, by themselves, by what the model knows, and by what the user says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Steps
from onnxlet.toolchain.convert.impossible import describe_doubled_link
from onnxlet.toolchain.convert.networks.class_scores import ClassScores, ExclusiveScores, find_class_scores
from onnxlet.toolchain.convert.networks.output_kinds import OPTION, check_shares, tell_outputs
from onnxlet.toolchain.workbench.evaluation import name_answers
from onnxlet.toolchain.workbench.output_meaning import Hints, class_axis_of, flatten_positions
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.contract import TaskKind
from onnxlet.values.manifest import OutputMeaning, OutputsAre
from onnxlet.values.tensors import Tensors

MATRIX = 2


@dataclass(frozen=True)
class OutputHints:
    """What is known of a network's outputs beside its answers."""

    are: OutputsAre | None = None
    task: TaskKind | None = None
    class_axis: int | None = None
    """Where the framework puts channels, 1 or -1; None where it may be either."""
    said_by: Literal["user", "model"] = "model"
    labels: tuple[str, ...] = ()
    truth: tuple[int, ...] | None = None
    """The shape of the target, if there is one."""
    numbers: bool = False
    """Whether the target holds numbers that are no classes."""
    by_label: bool | None = None
    """Whether there is a target for each label; None: there is no target."""

    def overridden(self, are: OutputsAre | None, task: TaskKind | None) -> OutputHints:
        """These, but for what the user says."""
        if are is None and task is None:
            return self
        return replace(self, are=are or self.are, task=task or self.task, said_by="user")


@dataclass(frozen=True)
class Outputs:
    """What answers are, and the scores to make labels of where they score the classes of a row."""

    meaning: OutputMeaning | None = None
    scores: ClassScores | None = None
    doubled_link: str = ""
    """What shows that the model itself linked its scores twice."""


def read_outputs(outputs: Tensors, hints: OutputHints) -> Outputs:
    """Tell what all answers are. Raises InvalidInputError where they contradict what is said, or leave it open."""
    said_by = "answers" if hints.are is None and hints.task is None else hints.said_by
    if hints.labels and hints.task is None:
        scores = find_class_scores(outputs, hints.labels, hints.are, by_label=hints.by_label)
        if scores is not None:
            sayer = "answers" if hints.are is None else hints.said_by
            return Outputs(OutputMeaning(are=scores.are, said_by=sayer), scores, _doubled_link(scores, outputs, hints))
    answers = name_answers(Steps(), outputs)
    if hints.labels and hints.task not in (None, "segmentation"):
        raise InvalidInputError(f"labels name classes, and --task {hints.task} judges none: leave one of the two out")
    known = Hints(hints.task, hints.labels, hints.truth, numbers=hints.numbers, class_axis=hints.class_axis)
    place = class_axis_of(answers, known) if hints.are != "values" else None
    if place is None:
        _check_unplaced(outputs, hints)
        silent = hints.are is None and hints.task is None
        return Outputs(None if silent else OutputMeaning(are=hints.are, said_by=said_by, task=hints.task))
    name, axis = place
    are = tell_outputs(flatten_positions(answers[name], axis), name, hints.are, by_label=None)
    told = "user" if hints.labels and said_by == "answers" else said_by
    return Outputs(
        OutputMeaning(are=are, said_by=told, task="segmentation", output=name, class_axis=axis, labels=hints.labels)
    )


def check_outputs(outputs: Tensors, known: Outputs) -> None:
    """Raise InvalidInputError for answers that are not what others told that they are."""
    if known.scores is not None and known.scores.are in ("probabilities", "independent"):
        scores = outputs[known.scores.output]
        check_shares(scores.reshape(len(scores), -1), known.scores.output)


def _doubled_link(scores: ClassScores, outputs: Tensors, hints: OutputHints) -> str:
    if hints.are is not None or scores.are != "probabilities" or not isinstance(scores, ExclusiveScores):
        return ""
    tensor = outputs[scores.output]
    return describe_doubled_link(tensor.reshape(len(tensor), -1))


def _check_unplaced(outputs: Tensors, hints: OutputHints) -> None:
    """Raise InvalidInputError for labels that nothing scores, and for scores that are not what is said."""
    if hints.labels and hints.are == "values":
        raise InvalidInputError(f"labels name classes, and {OPTION} values says that there are none: leave one out")
    if hints.labels:
        shapes = quoted(f"{name} {[-1, *tensor.shape[1:]]}" for name, tensor in outputs.items())
        raise InvalidInputError(
            f"{len(hints.labels)} labels were given, and no output scores as many classes: there are {shapes}",
            labels=len(hints.labels),
        )
    if hints.are in (None, "values"):
        return
    scores = [(n, t) for n, t in outputs.items() if t.dtype.kind == "f" and 1 <= t.ndim <= MATRIX]
    if not scores:
        raise InvalidInputError(f"{OPTION} {hints.are} tells what scores of classes are, and no output is such")
    name, tensor = scores[0]
    tell_outputs(tensor.reshape(len(tensor), -1), name, hints.are, by_label=None)
