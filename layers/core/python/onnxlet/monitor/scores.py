"""Scores of classifiers in integers: how sure a version was of what it told, by class and by bin of probability.

What is needed to estimate accuracy before labels come: for each class that was told, rows by bin of the probability
that its label had, and the sums of those probabilities, in units of 2^-20. Integers add up exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import add
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.steps import Classification

UNIT = 2**20
_TWENTIETHS = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
_NARROWER = (0.92, 0.94, 0.96, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
_UPPER = (*_TWENTIETHS, *_NARROWER)
EDGES = (*(1 - edge for edge in reversed(_UPPER)), 0.5, *_UPPER)
"""Lower ends of all bins but the first, from 0 to 1 and the same from 1 to 0: what is rare is told apart near both."""
BINS = len(EDGES) + 1
MOST_CLASSES = 16
OTHER = "other"
"""What stands for the classes of a manifest beyond the first."""
FEWEST_SUMMED = 5


class ClassScores(msgspec.Struct, frozen=True):
    """Rows that were told one class, by the bin of their label's probability, and the sums of those in 2^-20."""

    rows: tuple[int, ...]
    sums: tuple[int, ...]


ScoresDocument = dict[str, dict[str, ClassScores]]
"""Scores by the name of the output that tells a label, and by class: all classes of the manifest, told or not."""


class Scores:
    """Scores as they are counted."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, Tensor]] = {}

    def fold(self, targets: Iterable[Classification], outputs: Tensors) -> None:
        """Count the answers [N] of each target whose label and probability were told."""
        for target in targets:
            label, probability = target.names.label, target.names.probability
            if label not in outputs or probability not in outputs:
                continue
            classes = [str(value) for value in (target.labels or target.classes)]
            counts = self._counts.setdefault(label, _nothing(classes))
            _count(counts, outputs[label].ravel(), outputs[probability].ravel())

    def document(self) -> ScoresDocument:
        """What is stored. The sum of a bin of fewer than five rows would tell theirs: they count as in its middle."""
        return {
            target: {name: _stored(counts) for name, counts in classes.items()}
            for target, classes in self._counts.items()
        }


def keep_known(scores: ScoresDocument) -> ScoresDocument:
    """The scores of targets that were counted in these bins, not in those of another onnxlet."""
    lengths = {
        target: {len(each) for counted in classes.values() for each in (counted.rows, counted.sums)}
        for target, classes in scores.items()
    }
    return {target: classes for target, classes in scores.items() if lengths[target] <= {BINS}}


def add_scores(first: ScoresDocument, second: ScoresDocument) -> ScoresDocument:
    """The scores of both. Raises InvalidInputError if they have other classes."""
    both = {**first, **second}
    for target in first.keys() & second.keys():
        one, other = first[target], second[target]
        if one.keys() != other.keys():
            raise InvalidInputError(f"two sketches of one baseline have other classes of {target!r}: one was changed")
        both[target] = {name: _added(scores, other[name]) for name, scores in one.items()}
    return both


def _added(first: ClassScores, second: ClassScores) -> ClassScores:
    return ClassScores(
        tuple(map(add, first.rows, second.rows)),
        tuple(map(add, first.sums, second.sums)),
    )


def _nothing(classes: Iterable[str]) -> dict[str, Tensor]:
    names = list(dict.fromkeys(classes))
    kept = names if len(names) <= MOST_CLASSES + 1 else [*names[:MOST_CLASSES], OTHER]
    return {name: np.zeros((2, BINS), dtype=np.int64) for name in kept}


def _count(counts: dict[str, Tensor], labels: Tensor, probabilities: Tensor) -> None:
    values = probabilities.astype(np.float64)
    sure = np.isfinite(values)
    values = values[sure].clip(0, 1)
    units = np.rint(values * UNIT).astype(np.int64)
    told, places = _find_places(labels)
    cells = places[sure] * BINS + np.searchsorted(EDGES, values, side="right")
    rows = np.bincount(cells, minlength=len(told) * BINS)
    # floats, and exact: a chunk's sums are far below 2^53
    sums = np.bincount(cells, weights=units, minlength=len(told) * BINS).astype(np.int64)
    for value, *added in zip(told, rows.reshape(-1, BINS), sums.reshape(-1, BINS), strict=True):
        cell = counts.get(_named(value), counts.get(OTHER))
        if cell is not None:
            cell += added


def _find_places(labels: Tensor) -> tuple[list[object], Tensor]:
    """The labels that were told, and for each row which of them."""
    if labels.dtype.kind != "O":
        told = np.unique(labels)
        return told.tolist(), np.searchsorted(told, labels)
    listed = labels.tolist()
    known = {value: place for place, value in enumerate(dict.fromkeys(listed))}
    return list(known), np.fromiter(map(known.__getitem__, listed), np.intp, len(listed))


def _named(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _stored(counts: Tensor) -> ClassScores:
    rows, sums = counts
    bounds = np.array([0.0, *EDGES, 1.0])
    middles = ((bounds[:-1] + bounds[1:]) / 2 * UNIT).astype(np.int64)
    told = np.where(rows < FEWEST_SUMMED, rows * middles, sums)
    return ClassScores(tuple(rows.tolist()), tuple(told.tolist()))
