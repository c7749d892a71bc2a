"""The figures of a report's charts: counts and means by bin, never a single row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from onnxlet.toolchain.verify.findings import scaled_distances
from onnxlet.toolchain.workbench.metrics import calibration_curve, confidence_of
from onnxlet.toolchain.workbench.slices import FEWEST_ROWS
from onnxlet.toolchain.workbench.task import Task
from onnxlet.values.tensors import Tensor, Tensors

DECADES = range(-8, 1)
"""Powers of ten that separate the bins of distances; the first and last bins are open."""


@dataclass(frozen=True)
class Plots:
    """By stage: points of the calibration curve (mean probability, share of right labels), and counts by bin."""

    calibration: Mapping[str, list[tuple[float, float]]] = field(default_factory=dict)
    distances: Mapping[str, list[int]] = field(default_factory=dict)


def make_plots(task: Task, stages: Mapping[str, Tensors], truth: Tensor | None) -> Plots:
    """The figures of the stages' answers; distances are those from the first stage."""
    reference, *_ = stages.values()
    scored = all(target.answers.probabilities in reference for target in task.targets)
    calibration = {}
    if task.targets and scored and truth is not None:
        for stage, answers in stages.items():
            points = calibration_curve(*_confidences(task, answers, truth))
            # a bin of few rows would tell of each
            calibration[stage] = [(probability, right) for probability, right, rows in points if rows >= FEWEST_ROWS]
    counted = {
        stage: _by_decade(scaled_distances(reference, answers, task))
        for stage, answers in stages.items()
        if answers is not reference
    }
    return Plots(calibration, {stage: counts for stage, counts in counted.items() if sum(counts)})


def _confidences(task: Task, answers: Tensors, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each label is right, and its probability; of all targets together."""
    right, confidence = [], []
    for target, known in task.targets_with_truth(truth):
        label = target.positions(answers[target.answers.label])
        right.append(target.positions(known) == label)
        confidence.append(confidence_of(label, answers[target.answers.probabilities]))
    return np.concatenate(right), np.concatenate(confidence)


def decades() -> list[str]:
    """The names of the bins that distances are counted in."""
    return [f"≤ 1e{power}" for power in DECADES] + ["> 1"]


def _by_decade(distances: Tensor) -> list[int]:
    edges = np.array([10.0**power for power in DECADES])
    counts: list[int] = np.bincount(np.searchsorted(edges, distances), minlength=len(edges) + 1).tolist()
    return counts
