"""A tree ensemble as arrays: what an artifact of a version keeps of it, and how columns go through its splits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from onnxlet.errors import IntegrityError

if TYPE_CHECKING:
    from onnxlet.values.tensors import Tensor

LEQ, LT, GTE, GT, EQ, NEQ = range(6)
"""Modes of a split, as ONNX's TreeEnsemble numbers them: true where the value is so, compared with the threshold."""
_COMPARE = {
    LEQ: np.less_equal,
    LT: np.less,
    GTE: np.greater_equal,
    GT: np.greater,
    EQ: np.equal,
    NEQ: np.not_equal,
}
_CHILDREN = 2


@dataclass(frozen=True)
class Ensemble:
    """Trees whose leaves add up, on top of `base` [outputs].

    Splits are parallel arrays [splits]: the column of the matrix that the ensemble reads, its threshold in the
    precision that is compared in, the mode, whether a missing value is as good as true, the share of the training
    weight that went the way of true (nan where that is not known); `children` [splits, 2] are those of true and of
    false: a child c >= 0 is a split, a child c < 0 is the leaf ~c. `leaves` [leaves, width] go to the outputs from
    `targets` on, which are [trees], as are `roots`, each a split.
    """

    columns: Tensor
    thresholds: Tensor
    modes: Tensor
    missing_true: Tensor
    shares: Tensor
    children: Tensor
    leaves: Tensor
    roots: Tensor
    targets: Tensor
    base: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))

    @property
    def knows_shares(self) -> bool:
        """Whether the training weight of every node is known, which path-dependent values are made of."""
        return not np.isnan(self.shares).any()

    def groups(self) -> list[tuple[int, Tensor]]:
        """Trees [trees] by the first of the outputs that their leaves go to."""
        return [(int(target), np.flatnonzero(self.targets == target)) for target in np.unique(self.targets)]


def save_ensemble(file: BinaryIO, ensemble: Ensemble) -> None:
    """Write the arrays, in numpy's own format."""
    np.savez(file, **{field.name: getattr(ensemble, field.name) for field in fields(ensemble)})


def read_ensemble(file: BinaryIO) -> Ensemble:
    """Read an artifact. Raises IntegrityError for what is none, or points outside of itself."""
    from zipfile import BadZipFile  # with what numpy loads for it

    try:
        with np.load(file, allow_pickle=False) as arrays:
            ensemble = Ensemble(**{field.name: arrays[field.name] for field in fields(Ensemble)})
    except (BadZipFile, ValueError, KeyError, OSError, EOFError) as error:
        raise IntegrityError(f"these are no tables of trees: {error}") from error
    _check(ensemble)
    return ensemble


def passes(values: Tensor, thresholds: Tensor, modes: Tensor, missing_true: Tensor) -> Tensor:
    """Whether values go the way of true, as ONNX Runtime compares: [splits], or [splits, rows] with such values."""
    if values.ndim == _CHILDREN:
        thresholds, missing_true = thresholds[:, None], missing_true[:, None]
    present = np.unique(modes)
    if len(present) == 1:
        true = _COMPARE[int(present[0])](values, thresholds)
    else:
        true = np.empty(values.shape, dtype=bool)
        for mode in present:
            of_mode = modes == mode
            true[of_mode] = _COMPARE[int(mode)](values[of_mode], thresholds[of_mode])
    missing = np.isnan(values)
    if missing.any():
        true |= missing & missing_true
    return true


def _check(ensemble: Ensemble) -> None:
    splits, leaves, trees = len(ensemble.columns), len(ensemble.leaves), len(ensemble.roots)
    parallel = (ensemble.thresholds, ensemble.modes, ensemble.missing_true, ensemble.shares, ensemble.children)
    fits = (
        all(len(array) == splits for array in parallel)
        and ensemble.children.shape == (splits, _CHILDREN)
        and len(ensemble.targets) == trees
        and _within(ensemble.children, -leaves, splits)
        and _within(ensemble.roots, 0, splits)
        and _within(ensemble.targets, 0, len(ensemble.base) - ensemble.leaves.shape[1] + 1)
        and _within(ensemble.modes, LEQ, NEQ + 1)
        # a tree's splits point onwards, so that none leads back
        and bool((np.where(ensemble.children >= 0, ensemble.children, splits) > np.arange(splits)[:, None]).all())
    )
    if not fits:
        raise IntegrityError("these tables of trees do not fit together")


def _within(numbers: Tensor, low: int, high: int) -> bool:
    return bool(((numbers >= low) & (numbers < high)).all())
