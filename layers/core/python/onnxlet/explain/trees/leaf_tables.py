"""Leaf tables: for each leaf of a short path, the values of all answers that a row can give to its conditions.

What a row gets of a leaf, against the whole background, hangs on nothing but which of the path's players it satisfies.
So a row costs a look into the table, however many rows the background has.
"""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnxlet.values.tensors import Tensor

WIDEST = 7
"""Players of a path: a leaf has 2^players x players entries."""


TOO_MANY = 2**62
"""More bytes than there are."""


class LeafTables:
    """Tables of leaves, for leaves of the value 1."""

    def __init__(self, satisfied: Tensor, full: Tensor, width: int) -> None:
        """`satisfied` [leaves, background rows] are masks of `width` bits, `full` [leaves] the bits that are used."""
        self._size = 1 << width
        self._unused = (self._size - 1) & ~full.astype(np.intp)
        self._starts = np.arange(len(full)) * self._size
        # bits that a leaf does not use are satisfied by all, and say nothing then
        keys = self._starts[:, None] + (satisfied | self._unused[:, None])
        counts = np.bincount(keys.ravel(), minlength=len(full) * self._size).reshape(-1, self._size)
        entries = counts.astype(np.float64) @ _entries(width).reshape(self._size, -1)
        self._entries = entries.reshape(-1, width)

    @staticmethod
    def bytes_for(leaves: int, width: int) -> int:
        """Bytes that the tables of so many leaves would take; too many for paths that are not short."""
        return leaves * 8 * (width << width) if width <= WIDEST else TOO_MANY

    @property
    def nbytes(self) -> int:
        """Bytes of the tables."""
        return self._entries.nbytes + self._starts.nbytes + self._unused.nbytes

    def explain(self, satisfied: Tensor, leaves: Tensor, players: Tensor, count: int) -> Tensor:
        """Values [outputs, players] of a row with the masks `satisfied` [leaves], summed over the background."""
        found = self._entries.take(self._starts + (satisfied | self._unused), axis=0)
        return np.stack([np.bincount(players.ravel(), (found * column[:, None]).ravel(), count) for column in leaves.T])


def shapley_weights(width: int) -> tuple[Tensor, Tensor]:
    """What a player gets [own, others] that only the row satisfies, and loses that only the background row does."""
    gains, losses = np.zeros((width + 1, width + 1)), np.zeros((width + 1, width + 1))
    for own in range(width + 1):
        for others in range(width + 1 - own):
            whole = factorial(own + others)
            gains[own, others] = factorial(own - 1) * factorial(others) / whole if own else 0
            losses[own, others] = factorial(own) * factorial(others - 1) / whole if others else 0
    return gains, losses


def _entries(width: int) -> Tensor:
    """Values [masks of a background row, masks of the row, players] of a leaf of the value 1."""
    masks = np.arange(1 << width)
    other, row = masks[:, None, None], masks[None, :, None]
    bits = 1 << np.arange(width)
    own, others = row & ~other, other & ~row
    gains, losses = shapley_weights(width)
    at = np.bitwise_count(own).astype(np.intp), np.bitwise_count(others).astype(np.intp)
    values = gains[at] * ((own & bits) != 0) - losses[at] * ((others & bits) != 0)
    return np.where((row | other) == masks[-1], values, 0.0)
