"""Decisions: what the steps that a user declared make of the model's own answers, and of the graph's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onnxlet.steps import Steps
from onnxlet.steps.output import Output
from onnxlet.toolchain.workbench.evaluation import PREDICTION
from onnxlet.values.contract import Bounds, Finding
from onnxlet.values.signature import Signature
from onnxlet.values.tensors import Tensor, Tensors


class Decided(NamedTuple):
    """Whether decisions stay, and what to say of them."""

    finding: Finding
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Decisions:
    """Steps at a graph, the model's answers and the graph's as `name_answers` names them, and the truth."""

    steps: Steps
    graph: Signature
    source: Tensors
    candidate: Tensors
    truth: Tensor | None

    def judge(self, bounds: Bounds) -> Decided | None:
        """How many rows are decided otherwise, or left to a human where they were not; None if nothing is decided."""
        deciding = [step for step in self.steps.each if isinstance(step, Output) and (step.redecides or step.abstains)]
        if not deciding:
            return None
        before, after = (serve(self.steps, self.graph, answers) for answers in (self.source, self.candidate))
        names = [name for step in deciding for name in _decisions_of(step)]
        differ = np.any([before[name] != after[name] for name in names], axis=0)
        share, bound = float(differ.mean()), max(bounds.label_change, 1 / len(differ))
        notes = (note for step in deciding for note in self._notes(step, after))
        return Decided(Finding("decision_change", share, bound, share <= bound), tuple(notes))

    def _notes(self, step: Output, served: Tensors) -> Iterator[str]:
        """How many rows are left to a human, and how often the others are right, where that is known."""
        left = served[step.names.abstain] if step.abstains else None
        if left is not None:
            about = f" of {step.target}" if step.target else ""
            yield f"{int(left.sum())} of {len(left)} rows{about} are left to a human"
        if step.classes and self.truth is not None and self.truth.ndim == 1:
            yield from self._accuracies(step, served, self.truth, slice(None) if left is None else ~left)

    def _accuracies(self, step: Output, served: Tensors, truth: Tensor, kept: Tensor | slice) -> Iterator[str]:
        (target,) = (target for target in self.steps.targets if target.target == step.target)
        values = dict(zip(step.classes, target.classes, strict=True))
        told = np.array([values[label] for label in served[target.names.label].tolist()], dtype=object)
        right = (told == truth)[kept]
        if right.size:
            own = np.mean(self.candidate[target.names.label] == truth)
            yield (
                f"with the output step {len(right)} rows are decided, {np.mean(right):.2%} of them right; by the model "
                f"itself all are, {own:.2%} of them right"
            )


def serve(steps: Steps, graph: Signature, answers: Tensors) -> Tensors:
    """What would be served of answers that `name_answers` named."""
    outputs = {spec.name: answers[spec.name] for spec in graph.outputs if spec.name in answers}
    if not steps.targets and PREDICTION in answers:
        outputs = {graph.outputs[0].name: answers[PREDICTION]}
    for target in steps.targets:
        outputs[target.label] = answers[target.names.label]
        if target.probabilities is not None:
            outputs[target.probabilities] = answers[target.names.probabilities]
    for postprocessor in steps.postprocessors():
        outputs = outputs | postprocessor.apply(outputs)
    return outputs


def _decisions_of(step: Output) -> list[str]:
    label = [step.reads()[0]] if step.classes and step.redecides else []
    return label + list(step.tells())
