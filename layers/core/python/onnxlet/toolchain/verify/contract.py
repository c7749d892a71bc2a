"""The accuracy contract: how much worse than its model a graph may answer, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.verify.bootstrap import RESAMPLES, estimate_metrics
from onnxlet.toolchain.verify.findings import AnswerPair, Estimates, scaled_distances
from onnxlet.toolchain.verify.notes import notes
from onnxlet.toolchain.verify.oddities import oddities
from onnxlet.toolchain.workbench.comparison import compare
from onnxlet.toolchain.workbench.slices import Slicing, find_worst_slice, measure_slices
from onnxlet.toolchain.workbench.task import Task
from onnxlet.values.contract import Bounds, Contract, Recall, Stage
from onnxlet.values.manifest import Tolerance
from onnxlet.values.tensors import Tensor, Tensors

MOST_CLASSES = 20
"""A contract judges all classes, and lists the recalls of so many, the worst ones."""


def judge(
    reference: Tensors,
    candidate: Tensors,
    truth: Tensor | None,
    task: Task,
    bounds: Bounds = Bounds(),  # noqa: B008 - frozen
    *,
    stages: tuple[str, str] = ("source", "optimized"),
    between: Mapping[str, Tensors] | None = None,
    slicings: Sequence[Slicing] = (),
    resamples: int = RESAMPLES,
    data_digest: str | None = None,
) -> Contract:
    """Judge the candidate's answers by the reference's, and by the truth [rows] where it is known.

    Answers are named as by `workbench.evaluation.name_answers`. `between` are further stages, measured but not judged.
    With 0 `resamples` there are no intervals. Raises InvalidInputError for answers to other rows.
    """
    judged = _judged_rows({stages[0]: reference, **(between or {}), stages[1]: candidate}, truth, slicings)
    reference, candidate = judged.stages[stages[0]], judged.stages[stages[1]]
    measures = {stage: task.measures(answers, judged.truth, reference) for stage, answers in judged.stages.items()}
    metrics = estimate_metrics(judged.rows, measures, resamples=resamples)
    before, after = (metrics.get(stage, {}) for stage in stages)
    slices = measure_slices(judged.slicings, task, measures[stages[0]], measures[stages[1]])
    pair = AnswerPair(reference, candidate, judged.truth, task, bounds, judged.rows)
    findings = tuple(pair.findings(before, after, slices))
    contract = Contract(
        holds=all(finding.ok for finding in findings),
        task=task.kind,
        metric=task.metric if after else None,
        rows=judged.rows,
        bounds=bounds,
        findings=findings,
        stages=tuple(_stage(stage, judged, task, metrics.get(stage, {})) for stage in judged.stages),
        slices=slices,
        worst_slice=find_worst_slice(slices, task),
        data_digest=data_digest,
        notes=tuple(notes(pair, after, slices, unanswered=judged.unanswered)),
        oddities=tuple(oddities(pair, after)),
    )
    return msgspec.convert(_rounded(msgspec.to_builtins(contract)), Contract)


@dataclass(frozen=True)
class _JudgedRows:
    """The rows to which the model itself, the first stage, answers with finite numbers."""

    stages: Mapping[str, Tensors]
    truth: Tensor | None
    slicings: Sequence[Slicing]
    rows: int
    unanswered: int


def _judged_rows(stages: Mapping[str, Tensors], truth: Tensor | None, slicings: Sequence[Slicing]) -> _JudgedRows:
    """The rows that can be judged. Raises InvalidInputError for stages of unequal length, and if no row is left."""
    counts = {len(tensor) if tensor.ndim else 1 for answers in stages.values() for tensor in answers.values()}
    counts |= {len(truth)} if truth is not None else set()
    if len(counts) != 1 or 0 in counts:
        raise InvalidInputError(f"these are not answers to the same rows: there are {sorted(counts)} of them")
    rows = counts.pop()
    kept = np.ones(rows, dtype=bool)
    for tensor in next(iter(stages.values())).values():
        if tensor.dtype.kind == "f":
            kept &= np.isfinite(tensor.reshape(rows, -1)).all(axis=1)
    left = int(kept.sum())
    if left == rows:
        return _JudgedRows(stages, truth, slicings, rows, 0)
    if not left:
        raise InvalidInputError("the model itself gives no numbers for any of the rows: do they lack values?")
    return _JudgedRows(
        {stage: {name: tensor[kept] for name, tensor in answers.items()} for stage, answers in stages.items()},
        None if truth is None else truth[kept],
        [slicing.take(kept) for slicing in slicings],
        left,
        rows - left,
    )


def _stage(stage: str, judged: _JudgedRows, task: Task, metrics: Estimates) -> Stage:
    answers, reference = judged.stages[stage], next(iter(judged.stages.values()))
    distances = {} if answers is reference else _distances(reference, answers, task)
    return Stage(stage, dict(metrics), _recalls(task, answers, judged.truth), distances)


def _recalls(task: Task, answers: Tensors, truth: Tensor | None) -> tuple[Recall, ...]:
    if truth is None or task.kind != "classification":
        return ()
    recalls = [
        Recall(name, int(rows), _finite_or_none(sensitivity), _finite_or_none(specificity))
        for target, known in task.targets_with_truth(truth)
        for name, rows, sensitivity, specificity in zip(
            target.names, *target.measures(answers, known).recalls(), strict=True
        )
    ]
    if len(recalls) <= MOST_CLASSES:
        return tuple(recalls)
    worst = sorted((each for each in recalls if each.rows), key=lambda each: each.sensitivity or 0.0)
    return tuple(worst[:MOST_CLASSES])


def _rounded(value: Any) -> Any:
    """All floats with six digits: the contract is part of a document that is read at each cold start."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _distances(reference: Tensors, answers: Tensors, task: Task) -> dict[str, float]:
    """Distances from the first stage. Infinite ones are left out, as the contract counts lost numbers itself."""
    comparison = compare(reference, answers, Tolerance())
    distances = {"largest": comparison.largest_distance, "largest_relative": comparison.largest_relative_distance}
    distance = scaled_distances(reference, answers, task)
    if distance.size:
        distances["mean"] = float(distance.mean())
    if task.kind == "embedding":
        distances["smallest_cosine"] = 1 - float(distance.max())
    if comparison.label_agreement is not None:
        distances["label_agreement"] = comparison.label_agreement
    return {name: value for name, value in distances.items() if np.isfinite(value)}
