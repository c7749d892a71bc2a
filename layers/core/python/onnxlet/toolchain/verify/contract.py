"""The accuracy contract: how much worse than the model it was made of a graph may answer, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.verify.bootstrap import RESAMPLES, estimates
from onnxlet.toolchain.verify.findings import Case, Metrics, scaled_distances
from onnxlet.toolchain.verify.notes import notes
from onnxlet.toolchain.workbench.comparison import compare
from onnxlet.toolchain.workbench.slices import Slicing, sliced, worst_of
from onnxlet.toolchain.workbench.task import Task
from onnxlet.values.contract import Bounds, Contract, Recall, Stage
from onnxlet.values.manifest import Tolerance
from onnxlet.values.tensors import Tensor, Tensors

__all__ = ["Bounds", "Contract", "breaches", "judge"]

MOST_CLASSES = 20
"""Classes whose recall a contract lists, those that are told worst; all of them are judged."""


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
    """Judge the candidate's answers by those of what it was made of, and by the truth where it is known.

    Answers are named as `workbench.evaluation.renamed` names them: a classifier's `label` holds class values.
    `between` are further stages, which are measured and not judged. With 0 `resamples` there are no intervals.
    Raises InvalidInputError for answers to other rows, or of a truth that they cannot be compared with.
    """
    given = _answered({stages[0]: reference, **(between or {}), stages[1]: candidate}, truth, slicings)
    reference, candidate = given.stages[stages[0]], given.stages[stages[1]]
    measures = {stage: task.measures(answers, given.truth, reference) for stage, answers in given.stages.items()}
    told = {stage: measure for stage, measure in measures.items() if measure is not None}
    metrics = estimates(given.rows, told, resamples=resamples)
    before, after = (metrics.get(stage, {}) for stage in stages)
    slices = sliced(given.slicings, task, measures[stages[0]], measures[stages[1]])
    case = Case(reference, candidate, given.truth, task, bounds, given.rows)
    findings = tuple(case.findings(before, after, slices))
    contract = Contract(
        holds=all(finding.ok for finding in findings),
        task=task.kind,
        metric=task.metric if after else None,
        rows=given.rows,
        bounds=bounds,
        findings=findings,
        stages=tuple(_stage(stage, given, task, metrics.get(stage, {})) for stage in given.stages),
        slices=slices,
        worst_slice=worst_of(slices, task),
        data_digest=data_digest,
        notes=tuple(notes(case, after, slices, unanswered=given.unanswered)),
    )
    return msgspec.convert(_rounded(msgspec.to_builtins(contract)), Contract)


def breaches(contract: Contract) -> str:
    """In what the contract does not hold, in words; empty if it does."""
    return contract.breaches


@dataclass(frozen=True)
class _Answered:
    """The rows that the model itself, which is the first stage, answers with numbers."""

    stages: Mapping[str, Tensors]
    truth: Tensor | None
    slicings: Sequence[Slicing]
    rows: int
    unanswered: int


def _answered(stages: Mapping[str, Tensors], truth: Tensor | None, slicings: Sequence[Slicing]) -> _Answered:
    """What can be judged. Raises InvalidInputError for answers to other rows, and if there are no numbers at all."""
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
        return _Answered(stages, truth, slicings, rows, 0)
    if not left:
        raise InvalidInputError("the model itself gives no numbers for any of the rows: do they lack values?")
    return _Answered(
        {stage: {name: tensor[kept] for name, tensor in answers.items()} for stage, answers in stages.items()},
        None if truth is None else truth[kept],
        [slicing.take(kept) for slicing in slicings],
        left,
        rows - left,
    )


def _stage(stage: str, given: _Answered, task: Task, metrics: Metrics) -> Stage:
    answers, reference = given.stages[stage], next(iter(given.stages.values()))
    apart = {} if answers is reference else _apart(reference, answers, task)
    return Stage(stage, dict(metrics), _recalls(task, answers, given.truth), apart)


def _recalls(task: Task, answers: Tensors, truth: Tensor | None) -> tuple[Recall, ...]:
    if truth is None or task.kind != "classification":
        return ()
    found = [
        Recall(name, int(rows), _or_none(sensitivity), _or_none(specificity))
        for target, known in task.told(truth)
        for name, rows, sensitivity, specificity in zip(
            target.names, *target.measures(answers, known).recalls(), strict=True
        )
    ]
    if len(found) <= MOST_CLASSES:
        return tuple(found)
    worst = sorted((each for each in found if each.rows), key=lambda each: each.sensitivity or 0.0)
    return tuple(worst[:MOST_CLASSES])


def _rounded(value: Any) -> Any:
    """All floats as short as they matter: the contract is part of a document that is read at each cold start."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _apart(reference: Tensors, answers: Tensors, task: Task) -> dict[str, float]:
    """Distances from the first stage. Infinite ones are left out: the contract counts numbers that were lost."""
    comparison = compare(reference, answers, Tolerance())
    apart = {"largest": comparison.largest_distance, "largest_relative": comparison.largest_relative_distance}
    distance = scaled_distances(reference, answers, task)
    if distance.size:
        apart["mean"] = float(distance.mean())
    if task.kind == "embedding":
        apart["smallest_cosine"] = 1 - float(distance.max())
    if comparison.label_agreement is not None:
        apart["label_agreement"] = comparison.label_agreement
    return {name: value for name, value in apart.items() if np.isfinite(value)}
