"""The split: which rows of the data choose a graph, and which judge it, so that no row does both.

Many rows are cut in two. Of few rows each judges once: they are cut into folds, and what the rows outside of a fold
choose is judged by the fold. Ranges are calibrated on rows that never judge.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.optimize.calibration import FEWEST_ROWS
from onnxlet.toolchain.optimize.evaluation_rows import EvaluationRows
from onnxlet.toolchain.workbench.splitting import split_rows
from onnxlet.values.contract import Bounds
from onnxlet.values.tensors import Tensor

MANY = 400
"""With so many rows, half of them judge."""
FOLDS = 5
CALIBRATING = 0.2
"""The share of few rows that calibrates, if that is enough for it."""
MARGIN = 0.7
"""The share of its largest distance that a graph may use up on the rows that choose it."""
FEWEST = 10
"""Fewer rows cannot both choose and judge."""


@dataclass(frozen=True)
class Fold:
    """Parts of the rows that choose, and the positions of the rows that judge what they choose."""

    choosing: tuple[int, ...]
    judging: Tensor


@dataclass(frozen=True)
class RowSplit:
    """Rows cut into parts that are run apart; ranges are calibrated on the first part."""

    parts: tuple[Tensor, ...]
    folds: tuple[Fold, ...]

    def count_choosing(self, fold: Fold) -> int:
        """How many rows choose where this fold judges."""
        return sum(len(self.parts[part]) for part in fold.choosing)


def tighten(bounds: Bounds) -> Bounds:
    """The bounds for rows that choose: the largest distance of as many others, which judge, is easily larger."""
    return msgspec.structs.replace(bounds, distance=MARGIN * bounds.distance)


def keep_whole(rows: EvaluationRows) -> RowSplit:
    """All rows choose; none of them judges."""
    return RowSplit((np.arange(rows.count),), (Fold((0,), np.empty(0, dtype=np.int64)),))


def cut(rows: EvaluationRows, seed: int) -> RowSplit:
    """Cut the rows. Raises InvalidInputError for too few rows, or too few groups."""
    parts = 2 if rows.count >= MANY else 1 + FOLDS
    groups = rows.count if rows.groups is None else len(np.unique(rows.groups.astype(str)))
    if rows.count < FEWEST or groups < parts:
        few = f"{rows.count} rows" if groups == rows.count else f"{groups} groups of rows"
        raise InvalidInputError(
            f"{few} cannot both choose a graph and judge it, {max(parts, FEWEST if groups == rows.count else 0)} are "
            "needed: give more --data, or rows that judge with --judge"
        )
    if rows.count >= MANY:
        choosing, judging = split_rows(rows.strata(), (0.5, 0.5), seed=seed, groups=rows.groups)
        return RowSplit((choosing,), (Fold((0,), judging),))
    strata = rows.strata()
    # a row more for each stratum, as parts have whole rows of them
    enough = FEWEST_ROWS + len(np.unique(strata)) - 1
    share = min(max(CALIBRATING, enough / rows.count), 0.5)
    shares = (share, *[(1 - share) / FOLDS] * FOLDS)
    cut_parts = split_rows(strata, shares, seed=seed, groups=rows.groups)
    kept = tuple(part for part in cut_parts if len(part))
    numbers = range(len(kept))
    folds = [Fold(tuple(other for other in numbers if other != part), kept[part]) for part in numbers[1:]]
    return RowSplit(kept, tuple(folds))
