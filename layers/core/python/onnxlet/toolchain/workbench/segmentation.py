"""Segmentation: answers that score classes at each position, of an image, a volume or a sequence.

Judged are the positions: their labels, and per class the overlap of what is marked as it, intersection over union (IoU,
the Jaccard index) and Dice (F1 of the positions).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.privacy import values_are_shown
from onnxlet.toolchain.workbench.table import describe_values
from onnxlet.values.manifest import OutputMeaning, OutputsAre
from onnxlet.values.tensors import Tensor, Tensors

EVEN = 0.5
UNLABELLED = (255, -1, -100)
"""What masks hold where nobody said what is there: the customs of PASCAL VOC, of Cityscapes and of PyTorch."""
MOST_CLASSES = 20
"""Of so many classes each one's overlap is among the metrics; of more their means alone."""


AT_ONCE = 2**24
"""Scores that are looked at together, which bounds memory."""


@dataclass(frozen=True)
class Masks:
    """What is marked at each position [rows, classes, positions], and whether that is known [rows, positions]."""

    marked: Tensor
    known: Tensor


@dataclass(frozen=True)
class Segmentation:
    """The output that scores classes along one of its dimensions, what these scores are, and the classes' names."""

    output: str
    axis: int
    are: OutputsAre
    labels: tuple[str, ...] = ()

    def measures(self, answers: Tensors, truth: Tensor | None, reference: Tensors) -> OverlapMeasures:
        """The overlap with the truth, or without one with what the reference marks. Raises as `true_masks` does."""
        scores, known = answers[self.output], reference[self.output]
        counts = []
        for rows in _parts(scores):
            marked = self.masks(scores[rows])
            true = self.masks(known[rows]) if truth is None else self.true_masks(truth[rows], scores[rows])
            counts.append(_count(true, marked))
        return OverlapMeasures(self._names(scores), *(np.concatenate(each) for each in zip(*counts, strict=True)))

    def masks(self, scores: Tensor) -> Masks:
        """What the scores mark."""
        shares = self._shares(scores)
        known = np.ones((len(shares), shares.shape[2]), dtype=bool)
        if self._apart(shares):
            return Masks(shares > EVEN, known)
        return Masks(_one_hot(shares.argmax(axis=1), shares.shape[1]), known)

    def true_masks(self, truth: Tensor, scores: Tensor) -> Masks:
        """What the truth marks: the number of the class at each position [rows, …], or marks of the scores' own shape.

        Raises InvalidInputError for another shape, and for numbers that are no class.
        """
        rows, classes, positions = self._flat(scores).shape
        if truth.shape == scores.shape:
            marks = self._flat(truth)
            _check_classes(marks, 1)
            return Masks(marks == 1, np.all(~np.isin(marks, UNLABELLED), axis=1))
        if truth.size != rows * positions:
            raise InvalidInputError(
                f"the target has the shape {[-1, *truth.shape[1:]]}, and the answers {[-1, *scores.shape[1:]]} score "
                f"{classes} classes at each of {positions} positions: give the number of the class at each"
            )
        numbers = truth.reshape(rows, positions)
        _check_classes(numbers, max(classes - 1, 1))
        known: Tensor = ~np.isin(numbers, UNLABELLED)
        return Masks((numbers == 1)[:, None] if classes == 1 else _one_hot(numbers, classes), known)

    def distances(self, reference: Tensors, answers: Tensors) -> Tensor:
        """How far the probabilities of each row moved [rows]: the largest of its classes, in the mean of positions."""
        before, after = reference[self.output], answers[self.output]
        moved = [
            np.abs(self._shares(after[rows]) - self._shares(before[rows])).max(axis=1).mean(axis=1)
            for rows in _parts(before)
        ]
        distance: Tensor = np.concatenate(moved).astype(np.float64)
        return distance

    def changed(self, reference: Tensors, answers: Tensors, margin: float) -> tuple[float, int]:
        """The share of positions whose label changed, and how many positions there are.

        Those do not count where the reference itself has no more than `margin` between two labels.
        """
        before, after = reference[self.output], answers[self.output]
        changed = positions = 0
        for rows in _parts(before):
            differs = (self.masks(before[rows]).marked != self.masks(after[rows]).marked).any(axis=1)
            changed += int((differs & ~self._tied(self._shares(before[rows]), margin)).sum())
            positions += differs.size
        return changed / positions, positions

    def _tied(self, shares: Tensor, margin: float) -> Tensor:
        if self._apart(shares):
            near: Tensor = (np.abs(2 * shares - 1) <= margin).any(axis=1)
            return near
        ranked = np.partition(shares, -2, axis=1)
        tied: Tensor = ranked[:, -1] - ranked[:, -2] <= margin
        return tied

    def _shares(self, scores: Tensor) -> Tensor:
        """The probabilities [rows, classes, positions]."""
        flat = self._flat(scores).astype(np.float32)
        if self.are in ("probabilities", "independent"):
            return flat
        with np.errstate(over="ignore", invalid="ignore"):
            if self.are == "independent-logits" or flat.shape[1] == 1:
                shares: Tensor = 1 / (1 + np.exp(-flat))
                return shares
            powers = np.exp(flat - flat.max(axis=1, keepdims=True))
            softened: Tensor = powers / powers.sum(axis=1, keepdims=True)
        return softened

    def _flat(self, tensor: Tensor) -> Tensor:
        """[rows, classes, positions]."""
        moved = np.moveaxis(tensor, self.axis, 1)
        flat: Tensor = moved.reshape(*moved.shape[:2], -1)
        return flat

    def _apart(self, shares: Tensor) -> bool:
        """Whether each class is marked by itself, so that a position may have several or none."""
        return self.are.startswith("independent") or shares.shape[1] == 1

    def _names(self, scores: Tensor) -> tuple[str, ...]:
        """The names of the marked classes, of which one channel has one: the second of two."""
        count = scores.shape[self.axis]
        if count == 1:
            return self.labels[1:2] or ("1",)
        return self.labels if len(self.labels) == count else tuple(map(str, range(count)))


class OverlapMeasures:
    """Dice and IoU, the means of classes and each class's own, and the share of positions that are right.

    A class that is nowhere, neither in truth nor in answers, has none. Counts of positions are [rows, classes] that
    are marked and true, marked, true; [rows] that are right, known.
    """

    def __init__(  # noqa: PLR0917 - the five counts
        self, names: Sequence[str], both: Tensor, marked: Tensor, true: Tensor, right: Tensor, known: Tensor
    ) -> None:
        self._both, self._marked, self._true = both, marked, true
        self._right, self._known = right, known
        self._names = tuple(names)

    def __call__(self, weights: Tensor) -> Tensors:
        """The measures of these weights."""
        measured = self._by_class(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            right = (self._right @ weights) / (self._known @ weights)
        means = {metric: _mean_of_known(values) for metric, values in measured.items()}
        each = {
            f"{metric}_{name}": values
            for metric, by_class in measured.items()
            for name, values in zip(self._names, by_class, strict=True)
            if 1 < len(self._names) <= MOST_CLASSES
        }
        return {"accuracy": right, **means, **each}

    def losses(self, after: OverlapMeasures) -> Iterator[tuple[str, str, float, float]]:
        """What each class lost: metric, class, loss, and about what one position of it is worth."""
        ones = np.ones((len(self._right), 1))
        before, now = self._by_class(ones), after._by_class(ones)
        worth = 2 / np.maximum(self._true.sum(axis=0), 1)
        for metric, by_class in before.items():
            for name, (was,), (then,), one in zip(self._names, by_class, now[metric], worth, strict=True):
                yield metric, name, _loss(float(was), float(then)), float(one)

    def unmarked(self) -> list[str]:
        """The classes that are true somewhere and marked nowhere."""
        missed = (self._true.sum(axis=0) > 0) & (self._marked.sum(axis=0) == 0)
        return [name for name, each in zip(self._names, missed, strict=True) if each]

    def _by_class(self, weights: Tensor) -> dict[str, Tensor]:
        """Each class's Dice and IoU [classes, resamples]."""
        both, marked, true = (each.T @ weights for each in (self._both, self._marked, self._true))
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"dice": 2 * both / (marked + true), "iou": both / (marked + true - both)}


def segmentation_of(meaning: OutputMeaning | None, answers: Tensors) -> Segmentation | None:
    """The segmentation that a manifest declares, if the answers have such an output."""
    if meaning is None or meaning.task != "segmentation" or meaning.class_axis is None or meaning.are is None:
        return None
    output = meaning.output if meaning.output in answers else next(iter(answers))
    return Segmentation(output, meaning.class_axis, meaning.are, meaning.labels)


def _parts(scores: Tensor) -> Iterator[slice]:
    """Rows that are looked at together."""
    size = max(1, AT_ONCE // max(scores[:1].size, 1))
    for start in range(0, len(scores), size):
        yield slice(start, start + size)


def _count(true: Masks, answers: Masks) -> tuple[Tensor, ...]:
    """What OverlapMeasures counts."""
    known = true.known[:, None]
    marked, wanted = answers.marked & known, true.marked & known
    right = ~(marked ^ wanted).any(axis=1) & true.known
    return (
        *((each.sum(axis=2, dtype=np.float64)) for each in (marked & wanted, marked, wanted)),
        right.sum(axis=1, dtype=np.float64),
        true.known.sum(axis=1, dtype=np.float64),
    )


def _loss(before: float, after: float) -> float:
    """What was lost; all of it where the class is nowhere any more, nothing where it never was."""
    if np.isnan(before):
        return 0.0 if np.isnan(after) else 1.0
    return before - (0.0 if np.isnan(after) else after)


def _mean_of_known(values: Tensor) -> Tensor:
    """The mean of the classes that are somewhere; NaN where none is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Tensor = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean


def _one_hot(numbers: Tensor, classes: int) -> Tensor:
    marks: Tensor = numbers[:, None] == np.arange(classes)[None, :, None]
    return marks


def _check_classes(numbers: Tensor, largest: int) -> None:
    possible = [*range(largest + 1), *UNLABELLED]
    unknown = np.unique(numbers[~np.isin(numbers, possible)])
    if unknown.size:
        values = describe_values([f"{value:g}" for value in unknown], "number", " that no class has")
        raise InvalidInputError(
            f"the target holds {values}, and the answers score the classes 0 to {largest}: targets that are no class "
            f"cannot be judged ({', '.join(map(str, UNLABELLED))} mean that nobody labelled a position); if they are "
            "numbers, say --task regression",
            withheld=not values_are_shown(),
        )
