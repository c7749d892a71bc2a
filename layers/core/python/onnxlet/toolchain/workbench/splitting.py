"""Splitting rows: into parts that are alike in what they hold, with the rows of a group in one part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlet.values.tensors import Tensor

MOST_BINS = 10
"""Numbers are stratified by so many quantiles."""
FEWEST_IN_BIN = 10


def stratify(values: Tensor) -> Tensor:
    """The stratum of each row: its class, or the quantile that its number is in; of several targets all classes.

    Of several numbers the first counts.
    """
    if values.dtype.kind == "f":
        numbers = values.reshape(len(values), -1)[:, 0]
        bins = max(1, min(MOST_BINS, len(numbers) // FEWEST_IN_BIN))
        return np.searchsorted(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]), numbers)
    names = ["\0".join(map(str, row)) for row in values.reshape(len(values), -1).tolist()]
    return np.unique(names, return_inverse=True)[1]


def split_rows(strata: Tensor, shares: Sequence[float], *, seed: int, groups: Tensor | None = None) -> list[Tensor]:
    """The positions of the rows in each part, in order; a part has its share of every stratum, as far as that goes.

    The rows of a group, given by its name for each row, stay together. A part may be empty where there are few.
    """
    random = np.random.default_rng(seed)
    part_of_row = _split_single(strata, shares, random) if groups is None else _split(strata, groups, shares, random)
    return [np.flatnonzero(part_of_row == part) for part in range(len(shares))]


def _split_single(strata: Tensor, shares: Sequence[float], random: np.random.Generator) -> Tensor:
    ends = np.cumsum(shares)[:-1] / sum(shares)
    parts = np.empty(len(strata), dtype=np.int64)
    for stratum in np.unique(strata):
        rows = random.permutation(np.flatnonzero(strata == stratum))
        places = (np.arange(len(rows)) + random.uniform()) / len(rows)
        parts[rows] = np.searchsorted(ends, places, side="right")
    return parts


def _split(strata: Tensor, groups: Tensor, shares: Sequence[float], random: np.random.Generator) -> Tensor:
    """Each group, the largest first, into the part that has least of what it holds."""
    names, group_of_row = np.unique(groups.astype(str), return_inverse=True)
    held = np.zeros((len(names), int(strata.max()) + 1))
    np.add.at(held, (group_of_row, strata), 1)
    wanted = np.outer(np.array(shares) / sum(shares), held.sum(axis=0))
    filled = np.zeros_like(wanted)
    part_of_group = np.empty(len(names), dtype=np.int64)
    shuffled = random.permutation(len(names))
    for group in shuffled[np.argsort(-held[shuffled].sum(axis=1), kind="stable")]:
        fill = np.divide(filled, wanted, out=np.zeros_like(wanted), where=wanted > 0) @ held[group]
        part = int(np.lexsort((filled.sum(axis=1) / wanted.sum(axis=1), fill))[0])
        filled[part] += held[group]
        part_of_group[group] = part
    return part_of_group[group_of_row]
