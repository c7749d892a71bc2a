"""Shapley values by their definition, and what trees answer, row by row: the witnesses of faster ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, combinations
from math import factorial
from typing import Any

import numpy as np

from onnxlet.explain.trees.ensemble import Ensemble
from onnxlet.values.tensors import Tensor

COMPARE = (
    lambda value, threshold: value <= threshold,
    lambda value, threshold: value < threshold,
    lambda value, threshold: value >= threshold,
    lambda value, threshold: value > threshold,
    lambda value, threshold: value == threshold,
    lambda value, threshold: value != threshold,
)


def shapley_values(worth: Callable[[frozenset[int]], Tensor], players: int) -> Tensor:
    """The values [players, outputs] of a game."""
    sets = [
        frozenset(each) for each in chain.from_iterable(combinations(range(players), n) for n in range(players + 1))
    ]
    worths = {members: worth(members) for members in sets}
    values = []
    for player in range(players):
        without = [members for members in sets if player not in members]
        values.append(
            sum(
                factorial(len(members)) * factorial(players - len(members) - 1) / factorial(players)
                * (worths[members | {player}] - worths[members])
                for members in without
            )
        )  # fmt: skip
    return np.array(values)


def goes_true(ensemble: Ensemble, split: int, row: Sequence[Any] | Tensor) -> bool:
    """Which way a row goes at a split."""
    value = row[ensemble.columns[split]]
    if np.isnan(value) and ensemble.missing_true[split]:
        return True
    return bool(COMPARE[ensemble.modes[split]](value, ensemble.thresholds[split]))


def answer(ensemble: Ensemble, row: Tensor) -> Tensor:
    """The outputs for a row."""
    return _total(ensemble, lambda split: float(goes_true(ensemble, split, row)))


def answer_where_known(ensemble: Ensemble, row: Tensor, known: set[int]) -> Tensor:
    """The outputs where the columns that are not `known` go both ways, as the training rows did."""
    return _total(
        ensemble,
        lambda split: float(
            goes_true(ensemble, split, row) if int(ensemble.columns[split]) in known else ensemble.shares[split]
        ),
    )


def _total(ensemble: Ensemble, share_of_true: Callable[[int], float]) -> Tensor:
    total = ensemble.base.astype(np.float64)

    def descend(child: int, share: float, target: int) -> None:
        if child < 0:
            leaf = ensemble.leaves[~child]
            total[target : target + len(leaf)] += share * leaf
            return
        true = share_of_true(child)
        descend(int(ensemble.children[child, 0]), share * true, target)
        descend(int(ensemble.children[child, 1]), share * (1 - true), target)

    for root, target in zip(ensemble.roots, ensemble.targets, strict=True):
        descend(int(root), 1.0, int(target))
    return total
