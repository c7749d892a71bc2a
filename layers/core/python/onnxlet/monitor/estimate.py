"""Performance before labels come, estimated from calibrated scores (CBPE, as NannyML's documentation describes it).

Of calibrated scores, a row whose label has the probability 0.8 is right in eight of ten cases, so the mean of the
probabilities is the accuracy that is to be expected, whatever inputs come. It holds as long as the scores are
calibrated for them; what inputs mean may have changed, which no score tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import msgspec
import numpy as np

from onnxlet.monitor.intervals import Interval, Z
from onnxlet.monitor.scores import OTHER, UNIT, ClassScores
from onnxlet.values.tensors import Tensor

DRAWS = 1_000
_SEED = 0
_PAIR = 2


class Performance(msgspec.Struct, frozen=True):
    """What is expected of `rows` answers, with the intervals in which it lies where scores are calibrated.

    `auc` and `f1` are of two classes, the second the positive one.
    """

    rows: int
    accuracy: Interval
    auc: Interval | None = None
    f1: Interval | None = None


def estimate_performance(classes: Mapping[str, ClassScores]) -> Performance | None:
    """What is expected of the answers of one target; None without any."""
    rows = np.array([scores.rows for scores in classes.values()], dtype=np.float64)
    right = np.array([scores.sums for scores in classes.values()], dtype=np.float64) / UNIT
    count = float(rows.sum())
    if not count:
        return None
    accuracy = float(right.sum()) / count
    # within a bin p (1 - p) is largest where all scores are equal, so the interval is rather too wide
    error = sqrt(float((right * (1 - right / np.maximum(rows, 1))).sum())) / count
    estimated = Interval(accuracy, max(0.0, accuracy - Z * error), min(1.0, accuracy + Z * error))
    if len(classes) != _PAIR or OTHER in classes:
        return Performance(int(count), estimated)
    return Performance(int(count), estimated, *_of_two(rows, right))


def _of_two(rows: Tensor, right: Tensor) -> tuple[Interval | None, Interval | None]:
    """The area under the ROC curve and F1, whose intervals are those of drawn outcomes."""
    shares = (right / np.maximum(rows, 1)).clip(0, 1)
    counts = rows.astype(np.int64)
    drawn = np.random.default_rng(_SEED).binomial(counts, shares, size=(DRAWS, *rows.shape)).astype(np.float64)
    return _estimated(_auc(rows, right[None]), _auc(rows, drawn)), _estimated(_f1(rows, right[None]), _f1(rows, drawn))


def _estimated(value: Tensor, drawn: Tensor) -> Interval | None:
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value[0]) or not len(known):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(value[0]), min(float(low), float(value[0])), max(float(high), float(value[0])))


def _auc(rows: Tensor, right: Tensor) -> Tensor:
    """Of rows [2, bins] of either class and those of them that are right [draws, 2, bins]; ties count half."""
    positives = right[:, 1] + (rows[0] - right[:, 0])[:, ::-1]
    negatives = (rows[1] - right[:, 1]) + right[:, 0, ::-1]
    below = np.cumsum(negatives, axis=1) - negatives / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Tensor = (positives * below).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1))
    return area


def _f1(rows: Tensor, right: Tensor) -> Tensor:
    true_positives = right[:, 1].sum(axis=1)
    wrong = (rows - right).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        score: Tensor = 2 * true_positives / (2 * true_positives + wrong)
    return score
