"""Findings: how far answers moved, and what metrics, recalls and slices lost, each with its bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxlet.toolchain.workbench.comparison import accept_tied_labels, distances
from onnxlet.toolchain.workbench.segmentation import Segmentation
from onnxlet.toolchain.workbench.task import Task, cosine_distances
from onnxlet.values.contract import Bounds, Estimate, Finding, Slice
from onnxlet.values.metrics import metric_of_target
from onnxlet.values.tensors import Tensor, Tensors

TIED = 2e-4
"""Where the two largest probabilities differ by at most this, either label is right."""
FLAT = 0.01
"""Errors are relative to the reference's error, but at least to this share of the truth's standard deviation."""
ROUNDING = 1e-9

Estimates = Mapping[str, Estimate]


@dataclass(frozen=True)
class AnswerPair:
    """Two models' answers to the same rows, and the truth about these where it is known."""

    reference: Tensors
    candidate: Tensors
    truth: Tensor | None
    task: Task
    bounds: Bounds
    rows: int

    def findings(self, before: Estimates, after: Estimates, slices: Sequence[Slice]) -> Iterator[Finding]:
        """Everything that is bounded; of several targets, classes or slices the worst one."""
        yield from self._moved()
        if self.task.segmentation is not None:
            yield from self._overlaps(self.task.segmentation, before, after)
            yield from _worst(self._slices(slices))
        if self.truth is None:
            return
        if self.task.kind == "regression":
            yield from _worst(self._error(self.truth, before, after))
        if self.task.kind == "classification":
            for metric in ("accuracy", "auc"):
                yield from _worst(self._metric(metric, self.truth, before, after))
            yield from _worst(self._recalls(self.truth))
            yield from _worst(self._slices(slices))

    def _moved(self) -> Iterator[Finding]:
        lost = sum(
            int((np.isfinite(tensor) & ~np.isfinite(self.candidate[name])).sum())
            for name, tensor in self.reference.items()
            if tensor.dtype.kind == "f"
        )
        yield Finding("numbers_lost", lost, 0, lost == 0)
        if self.task.kind == "classification":
            yield from _worst(self._changed())
        if self.task.segmentation is not None:
            changed, positions = self.task.segmentation.changed(self.reference, self.candidate, TIED)
            yield _within("label_change", changed, max(self.bounds.label_change, 1 / positions))
            yield from _worst(self._others(self.task.segmentation.output))
        distance = scaled_distances(self.reference, self.candidate, self.task)
        if distance.size:
            yield _within("distance", float(distance.max()), self.bounds.distance)
            yield _within("mean_distance", float(distance.mean()), self.bounds.mean_distance)

    def _others(self, judged: str) -> Iterator[Finding]:
        """How far other outputs than the judged one moved: the mean distance in the row where it is largest."""
        for name, tensor in self.reference.items():
            if tensor.dtype.kind == "f" and name != judged:
                moved = distances(tensor, self.candidate[name]) / _spread(tensor)
                yield _within(
                    "distance", float(moved.reshape(self.rows, -1).mean(axis=1).max()), self.bounds.distance, about=name
                )

    def _changed(self) -> Iterator[Finding]:
        """The share of each target's labels that changed; tied rows of the reference do not count."""
        names = [target.answers for target in self.task.targets]
        candidate = accept_tied_labels(self.reference, self.candidate, names, margin=TIED)
        for target, served in zip(self.task.targets, names, strict=True):
            changed = float((self.reference[served.label] != candidate[served.label]).mean())
            yield _within("label_change", changed, max(self.bounds.label_change, 1 / self.rows), about=target.name)

    def _overlaps(self, segmentation: Segmentation, before: Estimates, after: Estimates) -> Iterator[Finding]:
        """What the mean of Dice lost, and of each measure what the worst class lost; one position may differ."""
        if "dice" in before:
            now = after["dice"].value if "dice" in after else 0.0
            scale = max(before["dice"].value, self.bounds.metric_loss)
            yield _within("mean_dice_loss", (before["dice"].value - now) / scale, self.bounds.metric_loss)
        measured, candidate = (
            segmentation.measures(answers, self.truth, self.reference) for answers in (self.reference, self.candidate)
        )
        losses = list(measured.losses(candidate))
        for metric in ("dice", "iou"):
            yield from _worst(
                _within(f"{metric}_loss", loss, max(self.bounds.recall_loss, worth), about=name if loss > 0 else "")
                for each, name, loss, worth in losses
                if each == metric
            )

    def _error(self, truth: Tensor, before: Estimates, after: Estimates) -> Iterator[Finding]:
        for target, known in self.task.truth_by_target(truth).items():
            name = metric_of_target("rmse", target)
            if name in before and name in after:
                scale = max(before[name].value, FLAT * _spread(known))
                loss = (after[name].value - before[name].value) / scale
                yield _within("rmse_loss", loss, self.bounds.metric_loss, about=target)

    def _metric(self, metric: str, truth: Tensor, before: Estimates, after: Estimates) -> Iterator[Finding]:
        for target, known in self.task.truth_by_target(truth).items():
            name = metric_of_target(metric, target)
            if name in before and name in after:
                scale = max(before[name].value, 1 / self.rows)
                aside = 1 / self.rows if metric == "accuracy" else _auc_of_one_pair(known)
                loss = (before[name].value - after[name].value) / scale
                yield _within(f"{metric}_loss", loss, max(self.bounds.metric_loss, aside / scale), about=target)

    def _recalls(self, truth: Tensor) -> Iterator[Finding]:
        for target, known in self.task.targets_with_truth(truth):
            support, before, _ = target.measures(self.reference, known).recalls()
            _, after, _ = target.measures(self.candidate, known).recalls()
            for rows, share, now, name in zip(support, before, after, target.names, strict=True):
                if rows:
                    bound = max(self.bounds.recall_loss, 1 / float(rows))
                    yield _within("recall_loss", float(share - now), bound, about=name)

    def _slices(self, slices: Sequence[Slice]) -> Iterator[Finding]:
        for each in slices:
            bound = max(self.bounds.recall_loss, 1 / each.rows)
            loss = each.before - each.after
            yield _within("slice_loss", loss, bound, about=str(each) if loss > 0 else "")


def scaled_distances(reference: Tensors, candidate: Tensors, task: Task) -> Tensor:
    """All finite distances, flattened, on the scale on which they count.

    That is 1 for probabilities, 1 - cosine for embeddings, and the standard deviation for other numbers. Where classes
    are scored at positions, it is each row's mean of these.
    """
    if task.kind == "embedding":
        return cosine_distances(reference, candidate)
    if task.segmentation is not None:
        return _finite(task.segmentation.distances(reference, candidate))
    probabilities = {target.answers.probabilities for target in task.targets}
    parts = []
    for name, tensor in reference.items():
        if tensor.dtype.kind == "f":
            spread = 1.0 if name in probabilities else _spreads(tensor, task)
            parts.append((distances(tensor, candidate[name]) / spread).ravel())
    return _finite(np.concatenate(parts) if parts else np.empty(0))


def _finite(distance: Tensor) -> Tensor:
    return distance[np.isfinite(distance)]


def _auc_of_one_pair(truth: Tensor) -> float:
    """How much one pair of rows changes the area under the curve."""
    counts = np.unique(truth.astype(str), return_counts=True)[1]
    fewest = int(counts.min())
    return 1 / (fewest * max(len(truth) - fewest, 1))


def _spreads(tensor: Tensor, task: Task) -> Tensor | float:
    """The spread of predictions, for each of several numbers by itself: they may be of other magnitudes."""
    if task.kind == "regression" and tensor.ndim > 1:
        numbers = tensor.astype(np.float64)
        finite = np.isfinite(numbers)
        known = np.where(finite, numbers, 0.0)
        count = np.maximum(finite.sum(axis=0), 1)
        away = np.where(finite, numbers - known.sum(axis=0) / count, 0.0)
        spread = np.sqrt((away**2).sum(axis=0) / count)
        largest = np.abs(known).max(axis=0, initial=0.0)
        spreads: Tensor = np.where(spread > 0, spread, np.where(largest > 0, largest, 1.0))
        return spreads
    return _spread(tensor)


def _spread(tensor: Tensor) -> float:
    """The standard deviation; of equal numbers their absolute value; 1 for zeros."""
    finite = tensor[np.isfinite(tensor)].astype(np.float64)
    spread = float(np.std(finite)) if finite.size else 0.0
    return spread or float(np.abs(finite).max(initial=0.0)) or 1.0


def _worst(findings: Iterator[Finding]) -> Iterator[Finding]:
    """The finding nearest to its bound, or farthest beyond it."""
    worst = max(findings, key=lambda finding: finding.value - finding.bound, default=None)
    if worst is not None:
        yield worst


def _within(name: str, value: float, bound: float, *, about: str = "") -> Finding:
    return Finding(name, value, bound, value <= bound + ROUNDING, about)
