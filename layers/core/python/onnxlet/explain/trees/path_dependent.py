"""Path-dependent SHAP values of trees, exactly: what is not known is taken as the training rows were at each split.

The method is TreeSHAP (Lundberg et al., "From local explanations to global understanding with explainable AI for
trees", 2020). A leaf's part in a player's value is an integral over t from 0 to 1 of a product over the path's
players: t + (1 - t) z for those whose conditions hold, (1 - t) z for others, with the share z of the training weight
that passes. It is a polynomial, so that Gauss-Legendre quadrature with half as many points as there are players is
exact (as in Yu et al., "Linear TreeSHAP", 2022, by other means). Products go down the levels of all trees at once, sums
of leaves come up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.explain.trees.ensemble import Ensemble
from onnxlet.explain.trees.levels import Level, Levels, answers_to, arrange

if TYPE_CHECKING:
    from onnxlet.values.tensors import Tensor

MOST_BYTES = 128 * 2**20
"""Tables that are kept between explanations; those of larger ensembles are made again for each, part by part."""


class PathDependent:
    """The values of one ensemble whose shares are known. It may be used from several threads at once."""

    def __init__(self, ensemble: Ensemble, players: Tensor, count: int) -> None:
        """`players` [columns] is whose each column is, of `count`."""
        self._ensemble, self._count = ensemble, count
        self._groups = [
            (target, levels) for target, trees in ensemble.groups() for levels in arrange(ensemble, trees, players)
        ]
        size = sum(_bytes_of(levels) for _, levels in self._groups)
        self._kept = [_Tables(levels) for _, levels in self._groups] if size <= MOST_BYTES else None
        self.nbytes = sum(levels.nbytes for _, levels in self._groups) + (size if self._kept else 0)
        self.expected = ensemble.base.astype(np.float64)
        for target, levels in self._groups:
            means = levels.weights @ levels.leaves
            self.expected[target : target + len(means)] += means

    def answers(self, rows: Tensor) -> Tensor:
        """The outputs [N, outputs] of rows [N, columns]."""
        return answers_to(rows, self._ensemble.base, self._groups)

    def explain(self, rows: Tensor, check_time: Callable[[], None] | None = None) -> Tensor:
        """Values [N, players, outputs] of rows [N, columns], which sum to the outputs minus `expected`.

        `check_time` is called before each row, and raises what shall stop it.
        """
        values = np.zeros((len(self.expected), len(rows), self._count))
        for (target, levels), tables in zip(self._groups, self._tables(), strict=True):
            scratch = _Scratch(levels, tables.order)
            for number, row in enumerate(rows):
                if check_time is not None:
                    check_time()
                for output, edges in enumerate(tables.explain(row, scratch), target):
                    values[output, number] += np.bincount(levels.players, edges, self._count)
        return values.transpose(1, 2, 0)

    def _tables(self) -> Iterator[_Tables]:
        if self._kept is not None:
            yield from self._kept
        else:
            yield from (_Tables(levels) for _, levels in self._groups)


class _Scratch:
    """Memory for one row, used again for the next."""

    def __init__(self, levels: Levels, order: int) -> None:
        widest = max(level.stop - level.start for level in levels.levels)
        self.products = np.empty((levels.size, order))
        self.sums = np.empty((levels.size, order))
        self.first = np.empty((widest, order))
        self.second = np.empty((widest, order))


class _Tables:
    """What each edge multiplies by, and how its part of the values comes from the leaves below it; by the edge's state.

    A state says which of the player's conditions hold: at its first edge on the path 0: not this one, 1: this one; at a
    further edge 0: not those before, 1: those before, not this one, 2: all. Rows [states, order] stand from
    `offsets` [edges] on. Each factor is relative to that of conditions that do not hold, (1 - t) z, which goes into the
    weights of the leaves.
    """

    def __init__(self, levels: Levels) -> None:
        self._levels = levels
        self.order = _order(levels)
        nodes, weights = np.polynomial.legendre.leggauss(self.order)
        t, weight = (nodes + 1) / 2, weights / 2
        self._leaves = _leaf_weights(levels, 1 - t)
        shares = levels.shares[:, None]
        held = t + (1 - t) * shares
        ratio, part = held / ((1 - t) * shares), 1 / held
        weight = weight / (1 - t)
        repeats = levels.before >= 0
        self._repeats, self._before = np.flatnonzero(repeats), levels.before[repeats]
        counts = np.where(repeats, 3, 2)
        self._offsets = np.cumsum(counts) - counts
        self._factors = np.ones((int(counts.sum()), self.order))
        self._parts = np.zeros_like(self._factors)
        once, again = self._offsets[~repeats], self._offsets[repeats]
        self._factors[once + 1] = ratio[~repeats]
        self._parts[once] = -weight
        self._parts[once + 1] = (part[~repeats] - 1) * weight
        self._factors[again + 1] = 1 / ratio[self._before]
        self._factors[again + 2] = ratio[repeats] / ratio[self._before]
        self._parts[again + 1] = -part[self._before] * weight
        self._parts[again + 2] = (part[repeats] - part[self._before]) * weight

    def explain(self, row: Tensor, scratch: _Scratch) -> Iterator[Tensor]:
        """What each edge [edges] adds to its player's value, one output of the leaves after the other."""
        held = self._levels.conditions(row).view(np.int8)
        states = self._offsets + held
        states[self._repeats] += held[self._before]
        self._multiply_down(states, scratch)
        parts = scratch.products
        for leaves in self._leaves:
            self._add_up(leaves, scratch)
            if leaves is self._leaves[-1]:
                # the products are not needed any more
                np.take(self._parts, states, axis=0, out=parts, mode="clip")
            else:
                parts = self._parts[states]
            yield np.einsum("eq,eq->e", parts, scratch.sums)

    def _multiply_down(self, states: Tensor, scratch: _Scratch) -> None:
        """The products of the factors from the root to each edge."""
        products = np.take(self._factors, states, axis=0, out=scratch.products, mode="clip")
        above = None
        for level in self._levels.levels:
            here = products[level.start : level.stop]
            if above is not None:
                # clip spares a copy of what is written to
                reached = np.take(above, level.parents, axis=0, out=scratch.first[: len(here)], mode="clip")
                np.multiply(here, reached, out=here)
            above = here

    def _add_up(self, leaves: Tensor, scratch: _Scratch) -> None:
        """The sums of the leaves' products, times their weights, below each edge."""
        end = len(leaves)
        below: Level | None = None
        for level in reversed(self._levels.levels):
            begin = end - (level.stop - level.leaf)
            np.multiply(
                scratch.products[level.leaf : level.stop], leaves[begin:end], out=scratch.sums[level.leaf : level.stop]
            )
            end = begin
            if below is not None:
                sums, count = scratch.sums[below.start : below.stop], len(below.first)
                first = np.take(sums, below.first, axis=0, out=scratch.first[:count], mode="clip")
                second = np.take(sums, below.second, axis=0, out=scratch.second[:count], mode="clip")
                np.add(first, second, out=scratch.sums[level.start : level.leaf])
            below = level


def _order(levels: Levels) -> int:
    return (int(levels.widths.max()) + 1) // 2


def _bytes_of(levels: Levels) -> int:
    """What the tables of these edges take."""
    states = 2 * levels.size + int((levels.before >= 0).sum())
    return 8 * (_order(levels) * (2 * states + levels.leaves.size) + levels.size)


def _leaf_weights(levels: Levels, rest: Tensor) -> list[Tensor]:
    """One array [leaves, order] for each output: the leaf's value times the factors of conditions that do not hold.

    The product of a path's shares is the part of the training weight that comes to its leaf.
    """
    scale = rest ** levels.widths[:, None] * levels.weights[:, None]
    return [scale * column[:, None] for column in levels.leaves.T]
