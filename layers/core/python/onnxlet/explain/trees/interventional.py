"""Interventional SHAP values of trees, exactly: what is not known is taken from the rows of a background.

Against one background row, a leaf counts where each player of its path is satisfied by the row or by the background
row. Then players that only the row satisfies (a of them) get (a - 1)! b! / (a + b)! of its value, and those that only
the background row satisfies (b of them) get - a! (b - 1)! / (a + b)!, as in Lundberg et al., "From local explanations
to global understanding with explainable AI for trees", 2020. Who satisfies what is a bit mask for each leaf: so all
background rows are asked at once, those that a leaf does not tell apart together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from onnxlet.explain.trees.ensemble import Ensemble
from onnxlet.explain.trees.leaf_tables import LeafTables, shapley_weights
from onnxlet.explain.trees.levels import Levels, answers_to, arrange

if TYPE_CHECKING:
    from onnxlet.values.tensors import Tensor

MOST_WIDTH = 64
"""Players of a path: bits of the widest mask."""
MOST_BYTES = 128 * 2**20
"""Masks that are kept between explanations; those of larger ensembles are made again for each, part by part."""
_MASKS = (np.uint8, np.uint16, np.uint32, np.uint64)


class Interventional:
    """The values of one ensemble against one background. It may be used from several threads at once."""

    def __init__(self, ensemble: Ensemble, players: Tensor, count: int, background: Tensor) -> None:
        """`players` [columns] is whose each column is, of `count`; `background` is [rows, columns]."""
        self._count, self._background = count, background
        self._base = ensemble.base
        self._levels = [
            (target, levels) for target, trees in ensemble.groups() for levels in arrange(ensemble, trees, players)
        ]
        self._groups = [(target, _Masks(levels)) for target, levels in self._levels]
        self._rows = len(background)
        tables = sum(LeafTables.bytes_for(len(masks.full), masks.width) for _, masks in self._groups)
        self._tabulates = tables <= MOST_BYTES
        self.answers = self.answers_to(background)
        known: list[_Known | LeafTables] = []
        size = 0
        for _, masks in self._groups:
            if size <= MOST_BYTES:
                known.append(self._know(masks))
                size += known[-1].nbytes
        self._known = known if size <= MOST_BYTES else None
        self.expected = self.answers.mean(axis=0)
        self.nbytes = sum(masks.nbytes for _, masks in self._groups) + (size if self._known else 0)

    def answers_to(self, rows: Tensor) -> Tensor:
        """The outputs [N, outputs] of rows [N, columns]."""
        return answers_to(rows, self._base, self._levels)

    def explain(self, rows: Tensor, check_time: Callable[[], None] | None = None) -> Tensor:
        """Values [N, players, outputs] of rows [N, columns], which sum to the outputs minus `expected`.

        `check_time` is called before each row, and raises what shall stop it.
        """
        values = np.zeros((len(self.expected), len(rows), self._count))
        for number, (target, masks) in enumerate(self._groups):
            known = self._know(masks) if self._known is None else self._known[number]
            for at, row in enumerate(rows):
                if check_time is not None:
                    check_time()
                satisfied = masks.of(row[:, None])[:, 0]
                values[target : target + masks.leaves.shape[1], at] += (
                    known.explain(satisfied, masks.leaves, masks.players, self._count)
                    if isinstance(known, LeafTables)
                    else _explain(masks, satisfied, known, self._count)
                )
        return values.transpose(1, 2, 0) / self._rows

    def _know(self, masks: _Masks) -> _Known | LeafTables:
        satisfied = masks.of(self._background.T)
        return LeafTables(satisfied, masks.full, masks.width) if self._tabulates else _gather(satisfied)

    def explain_apart(self, row: Tensor) -> Tensor:
        """Values [background rows, players, outputs] of one row against each by itself."""
        values = np.zeros((len(self.expected), self._rows, self._count))
        for target, masks in self._groups:
            known = _each(masks.of(self._background.T))
            pairs = _pairs(masks, masks.of(row[:, None])[:, 0], known)
            for output, column in enumerate(masks.leaves.T, target):
                values[output] += _sum_apart(masks, pairs, column, known.rows[pairs.at], values.shape[1:])
        return values.transpose(1, 2, 0)


def widest_path(ensemble: Ensemble, players: Tensor) -> int:
    """How many players at most decide on one path."""
    return max(
        int(levels.widths.max()) for _, trees in ensemble.groups() for levels in arrange(ensemble, trees, players)
    )


class _Masks:
    """Leaves of some trees, and the players of their paths, one bit each."""

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self.width = int(levels.widths.max())
        dtype = next(each for each in _MASKS if np.iinfo(each).bits >= self.width)
        self._bits = np.left_shift(1, levels.slots.astype(np.uint64), dtype=np.uint64).astype(dtype)
        self._first = (levels.before < 0)[:, None]
        self.leaves = levels.leaves
        self.players = self._players()
        bits = np.left_shift(1, np.arange(self.width, dtype=np.uint64), dtype=np.uint64)
        used = np.arange(self.width) < levels.widths[:, None]
        self.full = np.bitwise_or.reduce(np.where(used, bits, np.uint64(0)), axis=1).astype(dtype)
        self.bits = bits.astype(dtype)
        self.nbytes = levels.nbytes + self.players.nbytes + self.full.nbytes + self._bits.nbytes
        self.gains, self.losses = (each.ravel() for each in shapley_weights(self.width))

    def _players(self) -> Tensor:
        """The player [leaves, width] of each bit; 0 for bits that a leaf's path is too short for."""
        found = []
        above = np.zeros((1, self.width), dtype=np.int32)
        for level in self._levels.levels:
            here = np.arange(level.start, level.stop)
            players = above[level.parents] if level.start else np.zeros((len(here), self.width), dtype=np.int32)
            players[np.arange(len(here)), self._levels.slots[here]] = self._levels.players[here]
            found.append(players[level.leaf - level.start :])
            above = players[: level.leaf - level.start]
        return np.concatenate(found)

    def of(self, columns: Tensor) -> Tensor:
        """Which players' conditions rows satisfy, columns [columns, rows]: masks [leaves, rows]."""
        held = np.where(self._levels.conditions(columns), self._bits[:, None], self._bits.dtype.type(0))
        found = []
        above = held[:0]
        for level in self._levels.levels:
            part = slice(level.start, level.stop)
            masks = held[part]
            if level.start:
                reached = above[level.parents]
                # where a player stood before, its bit is set already, and goes where this condition does not hold
                cleared = reached & (np.invert(self._bits[part, None]) | held[part])
                masks = np.where(self._first[part], reached | held[part], cleared)
            found.append(masks[level.leaf - level.start :])
            above = masks[: level.leaf - level.start]
        return np.concatenate(found)


class _Known(NamedTuple):
    """Masks of background rows as one list, leaf after leaf: `rows` are their numbers, or how many have the same."""

    masks: Tensor
    leaves: Tensor
    rows: Tensor

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self)


class _Pairs(NamedTuple):
    """Leaves and background rows that count for a row: where they stand in the list, the leaf, the players that only
    the row satisfies, the weights of these and of those that only the background row satisfies.
    """

    at: Tensor
    leaves: Tensor
    own: Tensor
    others: Tensor
    gains: Tensor
    losses: Tensor
    counts: Tensor


def _gather(masks: Tensor) -> _Known:
    """Background rows that a leaf does not tell apart taken together."""
    ordered = np.sort(masks, axis=1)
    is_new = np.ones(ordered.shape, dtype=bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    at = np.flatnonzero(is_new)
    counts = np.diff(np.append(at, ordered.size))
    return _Known(ordered.ravel()[at], (at // masks.shape[1]).astype(np.int32), counts.astype(np.int32))


def _each(masks: Tensor) -> _Known:
    leaves, rows = np.indices(masks.shape, dtype=np.int32)
    return _Known(masks.ravel(), leaves.ravel(), rows.ravel())


def _pairs(masks: _Masks, satisfied: Tensor, known: _Known) -> _Pairs:
    needed = (masks.full & ~satisfied).take(known.leaves)
    at = np.flatnonzero((known.masks & needed) == needed)
    leaves, others = known.leaves.take(at), needed.take(at)
    own = (masks.full & satisfied).take(leaves) & ~known.masks.take(at)
    key = np.bitwise_count(own).astype(np.intp) * (masks.width + 1) + np.bitwise_count(others)
    return _Pairs(at, leaves, own, others, masks.gains.take(key), masks.losses.take(key), known.rows.take(at))


def _explain(masks: _Masks, satisfied: Tensor, known: _Known, count: int) -> Tensor:
    """Values [outputs, players] of a row, summed over the background."""
    pairs = _pairs(masks, satisfied, known)
    return np.stack([_sum_players(masks, pairs, column, count) for column in masks.leaves.T])


def _sum_players(masks: _Masks, pairs: _Pairs, values: Tensor, count: int) -> Tensor:
    """Values [players], summed over the background; pairs of one leaf stand together."""
    if not len(pairs.leaves):
        return np.zeros(count)
    weights = values.take(pairs.leaves) * pairs.counts
    gains, losses = pairs.gains * weights, pairs.losses * weights
    starts = np.concatenate([[0], np.flatnonzero(np.diff(pairs.leaves)) + 1])
    leaves = pairs.leaves[starts]
    # what only the background satisfies is the same for all of a leaf's pairs
    others, lost = pairs.others[starts], np.add.reduceat(losses, starts)
    players = masks.players[leaves]
    total = np.zeros(count)
    for number, bit in enumerate(masks.bits):
        gained = np.add.reduceat(gains * ((pairs.own & bit) != 0), starts)
        gained -= lost * ((others & bit) != 0)
        total += np.bincount(players[:, number], gained, count)
    return total


def _sum_apart(masks: _Masks, pairs: _Pairs, values: Tensor, rows: Tensor, shape: tuple[int, int]) -> Tensor:
    """Values [background rows, players]."""
    weights = values.take(pairs.leaves)
    gains, losses = pairs.gains * weights, pairs.losses * weights
    players = masks.players[pairs.leaves]
    total = np.zeros(shape[0] * shape[1])
    for number, bit in enumerate(masks.bits):
        moved = gains * ((pairs.own & bit) != 0) - losses * ((pairs.others & bit) != 0)
        total += np.bincount(rows * shape[1] + players[:, number], moved, len(total))
    return total.reshape(shape)
