"""Levels: the edges of many trees in the order of their depth, so that one step of numpy goes down all trees at once.

An edge is a split with one of its two sides. A player may stand at several edges of a path; they are one condition,
which holds where all of them do, and its share is their product.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from onnxlet.explain.trees.ensemble import Ensemble, passes

if TYPE_CHECKING:
    from onnxlet.values.tensors import Tensor

MOST_EDGES = 10_000
"""Edges that are kept together: what is computed of them for one row stays near the processor."""
ROWS_AT_ONCE = 64
"""Rows that go down the trees together, which bounds the memory that they take."""
LEAST_SHARE = 1e-15
"""What is taken for no share at all, as of nodes that no training row came to: products are divided by it again."""


class Level(NamedTuple):
    """Edges `start` to `stop`: first those that lead to a split, up to `leaf`, then those that lead to a leaf.

    `parents` [edges] are positions among the splits of the level before, `first` and `second` [parents] the positions
    of their two edges in this one; `repeats` the edges whose player has stood on the path before.
    """

    start: int
    leaf: int
    stop: int
    parents: Tensor
    first: Tensor
    second: Tensor
    repeats: Tensor


@dataclass(frozen=True)
class Levels:
    """The edges of some trees, level by level; arrays are [edges], or [leaves] in the order of their edges.

    `sides` is whether an edge is the one of false, `players` who decides there, `shares` the part of the training
    weight that passes all of a player's conditions so far, `before` the last edge of the same player on the path, or
    -1. `weights` [leaves] is the part of the training weight that comes to a leaf, `widths` how many players decide on
    its path, `leaves` [leaves, width] its values.
    """

    levels: tuple[Level, ...]
    columns: Tensor
    thresholds: Tensor
    modes: Tensor
    missing_true: Tensor
    sides: Tensor
    players: Tensor
    shares: Tensor
    before: Tensor
    slots: Tensor
    weights: Tensor
    widths: Tensor
    leaves: Tensor

    @property
    def size(self) -> int:
        """The number of edges."""
        return len(self.columns)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = [each for each in vars(self).values() if isinstance(each, np.ndarray)]
        return sum(array.nbytes for array in arrays) + sum(array.nbytes for level in self.levels for array in level[3:])

    def conditions(self, values: Tensor) -> Tensor:
        """Whether rows, columns [columns] or [columns, rows], satisfy all of the player's conditions, edge by edge."""
        true = passes(values[self.columns], self.thresholds, self.modes, self.missing_true)
        sides = self.sides if values.ndim == 1 else self.sides[:, None]
        held: Tensor = true != sides
        for level in self.levels:
            if len(level.repeats):
                held[level.repeats] &= held[self.before[level.repeats]]
        return held

    def reached(self, columns: Tensor) -> Tensor:
        """Which leaf [leaves, rows] of its tree each row comes to, columns [columns, rows]."""
        true = passes(columns[self.columns], self.thresholds, self.modes, self.missing_true)
        taken: Tensor = true != self.sides[:, None]
        found = []
        above = taken[:0]
        for level in self.levels:
            here = taken[level.start : level.stop]
            if level.start:
                here = here & above[level.parents]
            found.append(here[level.leaf - level.start :])
            above = here[: level.leaf - level.start]
        return np.concatenate(found)


def answers_to(rows: Tensor, base: Tensor, groups: Iterable[tuple[int, Levels]]) -> Tensor:
    """The outputs [N, outputs] of rows [N, columns], of trees by the first output that they go to."""
    answers = np.tile(base.astype(np.float64), (len(rows), 1))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        for target, levels in groups:
            answers[part, target : target + levels.leaves.shape[1]] += levels.reached(rows[part].T).T @ levels.leaves
    return answers


class _Edges(NamedTuple):
    """The edges as they are found: `splits` [edges] they are of, the edges `above` that lead to these or -1, whether
    they are of the side of false; `ends` [leaves] are the leaves in their order.
    """

    splits: Tensor
    above: Tensor
    sides: Tensor
    ends: Tensor


def arrange(ensemble: Ensemble, trees: Tensor, players: Tensor) -> Iterator[Levels]:
    """The edges of these trees, some of them at a time; `players` [columns] says whose each column is."""
    sizes = _edges_of(ensemble)[trees]
    some = np.cumsum(sizes) // MOST_EDGES
    for part in np.unique(some):
        yield _arrange(ensemble, ensemble.roots[trees[some == part]], players)


def _edges_of(ensemble: Ensemble) -> Tensor:
    """How many edges each tree has: the splits of a tree stand together, from its root to the next one's."""
    ends = np.append(ensemble.roots[1:], len(ensemble.columns))
    return np.asarray(2 * (ends - ensemble.roots))


def _arrange(ensemble: Ensemble, roots: Tensor, players: Tensor) -> Levels:
    levels: list[Level] = []
    at: list[Tensor] = []
    ancestors: list[Tensor] = []
    sides: list[Tensor] = []
    ends: list[Tensor] = []
    splits, start, above = roots, 0, np.full(len(roots), -1)
    while len(splits):
        count = len(splits)
        children = ensemble.children[splits].T.reshape(-1)
        order = np.argsort(children < 0, kind="stable")
        position = np.empty_like(order)
        position[order] = np.arange(2 * count)
        parents = order % count
        further = int((children >= 0).sum())
        nothing = np.empty(0, dtype=np.intp)
        stop = start + 2 * count
        levels.append(Level(start, start + further, stop, parents, position[:count], position[count:], nothing))
        at.append(splits[parents])
        ancestors.append(above[parents])
        sides.append(order >= count)
        ends.append(~children[order[further:]])
        splits = children[order[:further]]
        above = np.arange(start, start + further)
        start = stop
    edges = _Edges(*map(np.concatenate, (at, ancestors, sides, ends)))
    return _complete(ensemble, levels, edges, players)


def _complete(ensemble: Ensemble, levels: list[Level], edges: _Edges, players: Tensor) -> Levels:
    """What follows from the order of the edges."""
    splits, above, sides = edges.splits, edges.above, edges.sides
    owners = players[ensemble.columns[splits]]
    before = _last_of_player(owners, above)
    own = np.maximum(np.where(sides, 1 - ensemble.shares[splits], ensemble.shares[splits]), LEAST_SHARE)
    shares, reached = own.copy(), own.copy()
    widths = np.ones(len(splits), dtype=np.intp)
    slots = np.zeros(len(splits), dtype=np.intp)
    finished = []
    for level in levels:
        here = np.arange(level.start, level.stop)
        up, last = above[here], before[here]
        known = last >= 0
        slots[here] = np.where(known, slots[last], np.where(up >= 0, widths[up], 0))
        if level.start:
            reached[here] *= reached[up]
            widths[here] = widths[up] + ~known
        shares[here] *= np.where(known, shares[last], 1.0)
        finished.append(level._replace(repeats=here[known]))
    leads_to_leaf = np.concatenate([np.arange(level.leaf, level.stop) for level in levels])
    return Levels(
        levels=tuple(finished),
        columns=ensemble.columns[splits],
        thresholds=ensemble.thresholds[splits],
        modes=ensemble.modes[splits],
        missing_true=ensemble.missing_true[splits],
        sides=sides,
        players=owners,
        shares=shares,
        before=before,
        slots=slots,
        weights=reached[leads_to_leaf],
        widths=widths[leads_to_leaf],
        leaves=ensemble.leaves[edges.ends],
    )


def _last_of_player(owners: Tensor, above: Tensor) -> Tensor:
    """The last edge before each on its path that is the same player's, or -1."""
    before = np.full(len(owners), -1)
    edges, ancestors = np.arange(len(owners)), above
    while len(edges):
        inside = ancestors >= 0
        edges, ancestors = edges[inside], ancestors[inside]
        same = owners[ancestors] == owners[edges]
        before[edges[same]] = ancestors[same]
        edges, ancestors = edges[~same], above[ancestors[~same]]
    return before
