"""Oddities: what is possible, and yet looks as if classes or scores were misread. They are said, and stop nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from onnxlet.toolchain.verify.findings import AnswerPair, Estimates
from onnxlet.toolchain.workbench.metrics import metric_of_target
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.toolchain.workbench.task import ClassificationTarget
from onnxlet.values.tensors import Tensor

HIGH_AUC = 0.8
"""Scores that rank so well should classify better than the most frequent class does."""
ROUNDING = 1e-9


def oddities(pair: AnswerPair, after: Estimates) -> Iterator[str]:
    """What is odd about the candidate's answers, by the truth."""
    if pair.truth is None:
        return
    if pair.task.segmentation is not None:
        measures = pair.task.segmentation.measures(pair.candidate, pair.truth, pair.reference)
        yield from _never_predicted(measures.unmarked(), "")
        return
    if pair.task.kind != "classification":
        return
    for target, known in pair.task.targets_with_truth(pair.truth):
        about = f" of {target.name!r}" if target.name else ""
        yield from _chance_beside_ranking(target, known, after, about)
        yield from _never_predicted(_missed_classes(pair, target, known), about)


def _chance_beside_ranking(target: ClassificationTarget, known: Tensor, after: Estimates, about: str) -> Iterator[str]:
    accuracy, area = (after.get(metric_of_target(metric, target.name)) for metric in ("accuracy", "auc"))
    counts = np.unique(target.positions(known), return_counts=True)[1]
    chance = float(counts.max() / counts.sum())
    if accuracy and area and area.value >= HIGH_AUC and accuracy.value <= chance + ROUNDING:
        yield (
            f"the accuracy{about} {accuracy.value:.4g} is no better than the {chance:.4g} of always answering the most "
            f"frequent class, while the area under the curve is {area.value:.4g}: the scores rank the rows and the "
            "labels do not follow, as where classes or outputs are misread, or a class is rare and the threshold high"
        )


def _missed_classes(pair: AnswerPair, target: ClassificationTarget, known: Tensor) -> list[str]:
    """The classes that have rows and are never answered, though there are rows enough to expect it."""
    names = target.labels or tuple(map(str, target.classes))
    present = set(target.positions(known).tolist())
    answered = set(target.positions(pair.candidate[target.answers.label]).tolist())
    return [name for position, name in enumerate(names) if position in present - answered]


def _never_predicted(missed: list[str], about: str) -> Iterator[str]:
    if missed:
        classes = "the class" if len(missed) == 1 else "the classes"
        yield f"{classes} {quoted(missed)}{about} {'is' if len(missed) == 1 else 'are'} never predicted"
