"""Weights: counts become logarithms, are weighted by document frequencies, and brought to a norm.

In scikit-learn's own order and precision, so that sums come out the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from onnxlet.values.tensors import Tensor

Weigh = Callable[[Tensor, Tensor], Tensor]
"""Weights of the counts, given the columns that they are of."""


def make_weigher(dtype: str, *, binary: bool, sublinear: bool, frequencies: Tensor | None, norm: str | None) -> Weigh:
    """What makes weights of `dtype`; `frequencies` are the inverse ones of documents, column by column."""
    stages: list[Weigh] = []
    if binary:
        stages.append(lambda weights, _: np.ones_like(weights))
    if sublinear:
        stages.append(lambda weights, _: np.log(weights) + 1)
    if frequencies is not None:
        factors = frequencies.astype(dtype)
        stages.append(lambda weights, columns: weights * factors[columns])
    if norm is not None:
        stages.append(partial(_normalize, squared=norm == "l2"))
    kind = np.dtype(dtype)

    def weigh(counts: Tensor, columns: Tensor) -> Tensor:
        weights = counts.astype(kind)
        for stage in stages:
            weights = stage(weights, columns)
        return weights

    return weigh


def _normalize(weights: Tensor, _: Tensor, *, squared: bool) -> Tensor:
    if not len(weights):
        return weights
    # one after the other, as scikit-learn adds them up, where sum() would add pairs
    sizes = weights * weights if squared else np.abs(weights)
    total = float(sizes.cumsum(dtype=np.float64)[-1])
    if not total:
        return weights
    divided: Tensor = weights / np.float64(math.sqrt(total) if squared else total)
    return divided.astype(weights.dtype, copy=False)
