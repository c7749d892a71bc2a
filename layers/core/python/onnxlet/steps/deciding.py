"""Deciding: which class a row has, how sure that is, and whether a human shall say it instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.steps.calibration import is_in_graph, plan_calibration
from onnxlet.steps.classification import names_of
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.steps.output import Band, Output

NO_NUMBER = "the score is no number"
NONE_REACHED = "no class reaches its threshold"
PAIR = 2


class Decisions:
    """An output step of classes, with its plan made once; `apply` is what a prediction pays."""

    def __init__(self, step: Output) -> None:
        self._step = step
        self._served, self._names = names_of(step.target), step.names
        self.needs: tuple[str, ...] = step.reads()
        """The target's label, probability and probabilities."""
        self.provides: tuple[str, ...] = (
            *self.needs,
            *((self._names.abstain, self._names.reason) if step.abstains else ()),
            *((self._names.top_labels, self._names.top_probabilities) if step.top is not None else ()),
        )
        """These, and what is added."""
        known = [str(value) for value in step.classes]
        kind = object if isinstance(step.classes[0], str) else None
        self._values = np.array(step.classes, dtype=kind)
        self._calibrate = None
        if step.calibration is not None and not is_in_graph(step.calibration):
            self._calibrate = plan_calibration(step.calibration, len(known))
        self._places = [place for place, name in enumerate(known) if name in step.thresholds]
        self._thresholds = np.array([step.thresholds[known[place]] for place in self._places])
        self._others = [place for place in range(len(known)) if place not in self._places]
        self._bands = [(band, _place_of(band, known)) for band in step.abstain]

    def apply(self, outputs: Tensors) -> Tensors:
        """`label` [N], `probability` [N] and `probabilities` [N, classes] as decided, and what is told beside them."""
        shares = self._calibrated(outputs[self._served.probabilities])
        label, own, reached = outputs[self._served.label], outputs[self._served.probability], None
        if self._step.redecides:
            places, reached = self.decide(shares)
            label, own = self._values[places], shares[np.arange(len(shares)), places]
        answer = {
            self._served.label: label,
            self._served.probability: self._rounded(own),
            self._served.probabilities: self._rounded(shares),
        }
        if self._step.abstains:
            scores = [(band, own if place is None else shares[:, place]) for band, place in self._bands]
            reasons = find_reasons(scores, own, None if self._others else reached)
            answer |= {self._names.abstain: reasons != "", self._names.reason: reasons}
        if self._step.top is not None:
            first = np.argsort(-shares, axis=1, kind="stable")[:, : self._step.top]
            answer[self._names.top_labels] = self._values[first]
            answer[self._names.top_probabilities] = self._rounded(np.take_along_axis(shares, first, axis=1))
        return answer

    def decide(self, shares: Tensor) -> tuple[Tensor, Tensor]:
        """The place of each row's class [N], and whether a class reached its threshold [N]."""
        likeliest = np.argmax(shares, axis=1)
        if not self._places:
            return likeliest, np.ones(len(shares), dtype=bool)
        thresholds = self._thresholds.astype(shares.dtype)
        of_these = shares[:, self._places]
        reaches = of_these >= thresholds
        factors = np.where(reaches, of_these / thresholds, -1)
        taken = np.take(self._places, np.argmax(factors, axis=1))
        rest = np.take(self._others, np.argmax(shares[:, self._others], axis=1)) if self._others else likeliest
        reached: Tensor = np.any(reaches, axis=1)
        return np.where(reached, taken, rest), reached

    def _calibrated(self, shares: Tensor) -> Tensor:
        if self._calibrate is None:
            return shares
        return self._calibrate(shares.astype(np.float64)).astype(shares.dtype)

    def _rounded(self, numbers: Tensor) -> Tensor:
        return numbers if self._step.decimals is None else np.round(numbers, self._step.decimals)


def find_reasons(scores: Sequence[tuple[Band, Tensor]], own: Tensor, reached: Tensor | None) -> Tensor:
    """Why each row is for a human [N], the first band's reason first; empty where it is not.

    Bounds are compared in the datatype of the scores, so that what is served as 0.6 is 0.6. `own` is the score that the
    answer stands for, `reached` whether it may stand; None: it may.
    """
    reasons = np.full(len(own), "", dtype=object)
    if reached is not None:
        reasons[~reached] = NONE_REACHED
    for band, score in reversed(scores):
        low, high = (np.array(bound, score.dtype) for bound in (band.low, band.high))
        reasons[(score >= low) & (score <= high)] = band.told
    reasons[np.isnan(own)] = NO_NUMBER
    return reasons


def _place_of(band: Band, known: list[str]) -> int | None:
    """The class that a band looks at; None: the one that is told."""
    if band.of:
        return known.index(band.of)
    return 1 if len(known) == PAIR else None
