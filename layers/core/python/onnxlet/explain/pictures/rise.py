"""Which places move an answer: its slope on how much of each place is shown, over pictures that are covered at random.

A cell's value is in the unit of the output: how much more the answer is where the cell is shown than where it is
covered, whatever is shown of the rest. It is the least-squares slope of the answer on the cell, by itself: RISE's mean
of masks weighted by answers, with the mean answer taken away, so that a picture that changes nothing is 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.explain.pictures.masks import draw_masks, pool
from onnxlet.explain.request import Budget
from onnxlet.values.tensors import Tensor

MASKS = 500
"""Masks of a picture, unless a request says how many evaluations there may be."""
RELIABLE_MASKS = 200
"""Below this the place of the peak moves with the seed."""
FEWEST_MASKS = 20
_Z = 1.96
"""The standard normal distribution's 97.5 % quantile."""

Ask = Callable[[Tensor], Tensor]
"""Answers [M, classes] to the picture under masks [M, height, width]."""


def most_masks(budget: Budget) -> int:
    """How many a request pays for. Raises InvalidInputError for too few to tell anything."""
    if budget.evaluations is None:
        return MASKS
    if budget.evaluations < FEWEST_MASKS:
        raise InvalidInputError(
            f"explain: 'max_evaluations' must be at least {FEWEST_MASKS} for a picture, and {RELIABLE_MASKS} for a "
            "heatmap to rely on"
        )
    return budget.evaluations


class Heat:
    """The heatmap of one picture [cells, classes], from sums over masks."""

    def __init__(self) -> None:
        self.masks = 0
        self._mask: Tensor = np.zeros(())
        self._masks: Tensor = np.zeros(())
        self._answer: Tensor = np.zeros(())
        self._answers: Tensor = np.zeros(())
        self._both: Tensor = np.zeros(())

    def add(self, shown: Tensor, answers: Tensor) -> None:
        """Add masks, as cells shown [M, cells], and the answers to them [M, classes]."""
        self.masks += len(shown)
        self._mask = self._mask + shown.sum(axis=0)
        self._masks = self._masks + (shown**2).sum(axis=0)
        self._answer = self._answer + answers.sum(axis=0)
        self._answers = self._answers + (answers**2).sum(axis=0)
        self._both = self._both + shown.T @ answers

    def slopes(self) -> tuple[Tensor, Tensor]:
        """The slope of each class on each cell, and half of its 95 % interval: [cells, classes] each."""
        mask, answer = self._mask / self.masks, self._answer / self.masks
        variance = np.maximum(self._masks / self.masks - mask**2, 1e-12)[:, None]
        spread = np.maximum(self._answers / self.masks - answer**2, 0)
        slopes = (self._both / self.masks - np.outer(mask, answer)) / variance
        left = np.maximum(spread - slopes**2 * variance, 0)
        return slopes, _Z * np.sqrt(left / variance / max(1, self.masks - 2))


def find_heat(ask: Ask, size: tuple[int, int], grid: tuple[int, int], block: int, budget: Budget) -> Heat:
    """Ask about a picture of `size` under masks, `block` at once, as evaluations and time allow."""
    random = np.random.default_rng(budget.seed)
    most, until = most_masks(budget), budget.next_row()
    heat = Heat()
    while heat.masks < most:
        late = until is not None and monotonic() >= until
        if late and heat.masks >= FEWEST_MASKS:
            break
        masks = draw_masks(random, *size, min(block, most - heat.masks))
        heat.add(pool(masks, *grid), ask(masks))
    return heat
