"""Estimates of answers by the truth, computed for many resamples of the rows at once, as a bootstrap needs them.

`weights` [rows, resamples] count how often a resample has each row; a metric is [resamples], NaN where it is undefined.
Areas under curves, F1 and R squared are as scikit-learn defines them. The calibration error is that of the label's own
probability over 15 bins of equal width (Guo et al. 2017, On Calibration of Modern Neural Networks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from onnxlet.values.metrics import metric_of_target
from onnxlet.values.tensors import Tensor, Tensors

Measures = Callable[[Tensor], Tensors]
"""Measures [resamples] by name, of weights [rows, resamples]."""

CALIBRATION_BINS = 15
MULTICLASS_STRIDE = 5
"""The area under the curves of three and more classes is slow, so it is computed for every so many-th resample."""


def positions(values: Tensor, classes: Tensor) -> Tensor:
    """The position of each value among the classes; -1 for an unknown value."""
    place = {value: index for index, value in enumerate(classes.tolist())}
    return np.array([place.get(value, -1) for value in values.ravel().tolist()], dtype=np.int64)


class ClassificationMeasures:
    """Accuracy, F1 (of the second of two classes, if there are rows of it, else the mean), area under the curve and
    calibration error.

    `truth` and `label` are positions among the classes.
    """

    def __init__(self, truth: Tensor, label: Tensor, probabilities: Tensor | None, classes: int) -> None:
        self._right = truth == label
        self._classes = classes
        self._truth = _Groups(truth, classes)
        self._correct = _Groups(np.where(self._right, truth, -1), classes)
        self._label = _Groups(label, classes)
        self._probabilities = probabilities
        if probabilities is not None:
            scores = probabilities.astype(np.float64)
            confidence = _confidence(scores, label)
            self._gap = (self._right - confidence)[:, None]
            self._bins = _Groups(_bins(confidence), CALIBRATION_BINS)
            self._areas = _areas_of(truth, scores)

    def __call__(self, weights: Tensor) -> Tensors:
        """The measures of these weights."""
        total = weights.sum(axis=0, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            measured = {"accuracy": _sum(weights, self._right) / total, "f1": self._f1(weights)}
            if self._probabilities is not None:
                measured["auc"] = self._auc(weights)
                gaps = self._bins.sums(weights * self._gap.astype(weights.dtype))
                measured["calibration_error"] = np.abs(gaps).sum(axis=0) / total
        return measured

    def recalls(self) -> tuple[Tensor, Tensor, Tensor]:
        """Per class: its rows, its sensitivity and its specificity; NaN where there are no rows to tell by."""
        ones = np.ones((len(self._right), 1))
        support, correct, predicted = (groups.sums(ones)[:, 0] for groups in (self._truth, self._correct, self._label))
        with np.errstate(invalid="ignore", divide="ignore"):
            return support, correct / support, 1 - (predicted - correct) / (len(ones) - support)

    def _f1(self, weights: Tensor) -> Tensor:
        counted = self._truth.sums(weights) + self._label.sums(weights)
        correct = self._correct.sums(weights)
        f1 = np.divide(2 * correct, counted, out=np.zeros_like(correct), where=counted > 0)
        if self._classes == 2:  # noqa: PLR2004
            return np.where(self._truth.sums(weights)[1] > 0, f1[1], np.nan)
        mean: Tensor = f1.mean(axis=0)
        return mean

    def _auc(self, weights: Tensor) -> Tensor:
        """That of the second of two classes, else the mean of those of each class against the rest."""
        if len(self._areas) < 2:  # noqa: PLR2004 - two classes have one curve
            return self._areas[0](weights) if self._areas else np.full(weights.shape[1], np.nan)
        sampled = weights[:, ::MULTICLASS_STRIDE]
        mean: Tensor = np.mean([area(sampled) for area in self._areas], axis=0)
        return mean


class RegressionMeasures:
    """Root mean squared error, mean absolute error and R squared; of rows of several numbers, over all of these."""

    def __init__(self, truth: Tensor, prediction: Tensor) -> None:
        truth, prediction = (each.astype(np.float64).reshape(len(each), -1) for each in (truth, prediction))
        away = truth - prediction
        # centred first, so that the squares do not drown the differences
        centred = truth - truth.mean()
        self._squared, self._absolute = (away**2).mean(axis=1), np.abs(away).mean(axis=1)
        self._centred, self._spread = centred.mean(axis=1), (centred**2).mean(axis=1)

    def __call__(self, weights: Tensor) -> Tensors:
        """The measures of these weights."""
        total = weights.sum(axis=0, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            squared = _sum(weights, self._squared)
            around = _sum(weights, self._spread) - _sum(weights, self._centred) ** 2 / total
            varies = (around > 1e-12 * self._spread.sum()) & (total > 1)
            return {
                "rmse": np.sqrt(squared / total),
                "mae": _sum(weights, self._absolute) / total,
                "r2": 1 - squared / np.where(varies, around, np.nan),
            }


class MultiTargetMeasures:
    """Estimates of several targets: their means, and each target's own under the metric's and the target's name.

    A mean is NaN where one of its metrics is.
    """

    def __init__(self, targets: Mapping[str, Measures]) -> None:
        self._targets = targets

    def __call__(self, weights: Tensor) -> Tensors:
        """The measures of these weights."""
        measured = {target: measures(weights) for target, measures in self._targets.items()}
        first, *others = measured.values()
        shared = [name for name in first if all(name in other for other in others)]
        means = {name: _mean([one[name] for one in measured.values()]) for name in shared}
        each = {metric_of_target(name, target): one[name] for name in shared for target, one in measured.items()}
        return means | each


def _mean(values: Sequence[Tensor]) -> Tensor:
    """The mean of metrics of the same resamples; where one has only every so many-th resample, the mean of these."""
    fewest = min(map(len, values))
    mean: Tensor = np.mean([each if len(each) == fewest else each[::MULTICLASS_STRIDE] for each in values], axis=0)
    return mean


class MeanMeasure:
    """The mean of one value per row."""

    def __init__(self, name: str, values: Tensor) -> None:
        self._name, self._values = name, values

    def __call__(self, weights: Tensor) -> Tensors:
        """The measure of these weights."""
        return {self._name: _sum(weights, self._values) / weights.sum(axis=0, dtype=np.float64)}


def point_estimates(measures: Measures, rows: int) -> dict[str, float]:
    """The metrics of the rows as they are, each counted once; undefined ones are left out."""
    measured = {name: float(value[0]) for name, value in measures(np.ones((rows, 1))).items()}
    return {name: value for name, value in measured.items() if np.isfinite(value)}


def confidence_of(label: Tensor, probabilities: Tensor) -> Tensor:
    """The probability of each row's own label, which is a position among the classes."""
    return _confidence(probabilities.astype(np.float64), label)


def calibration_curve(right: Tensor, confidence: Tensor) -> list[tuple[float, float, int]]:
    """Mean probability of the label, share of right labels and rows, by bin of that probability."""
    bins = _bins(confidence)
    inside = [bins == each for each in np.unique(bins)]
    return [(float(confidence[rows].mean()), float(right[rows].mean()), int(rows.sum())) for rows in inside]


class _Groups:
    """Rows by group; those of group -1 are in none."""

    def __init__(self, groups: Tensor, count: int) -> None:
        order = np.argsort(groups, kind="stable")
        self._order = order[groups[order] >= 0]
        self._present, self._starts = np.unique(groups[self._order], return_index=True)
        self._count = count

    def sums(self, weights: Tensor) -> Tensor:
        """The weights summed by group: [groups, resamples]."""
        sums = np.zeros((self._count, weights.shape[1]))
        if len(self._order):
            sums[self._present] = np.add.reduceat(weights[self._order], self._starts, axis=0)
        return sums


class _Area:
    """The area under a curve: the share of pairs of a positive and a negative row that the score ranks right.

    Equal scores count half.
    """

    def __init__(self, positive: Tensor, score: Tensor) -> None:
        self._positive, negative = np.flatnonzero(positive), np.flatnonzero(~positive)
        self._negative = negative[np.argsort(score[negative], kind="stable")]
        ranked = score[self._negative]
        self._below = np.searchsorted(ranked, score[self._positive], side="left")
        self._reached = np.searchsorted(ranked, score[self._positive], side="right")
        self._ties = bool((self._below != self._reached).any())

    def __call__(self, weights: Tensor) -> Tensor:
        beaten = np.zeros((len(self._negative) + 1, weights.shape[1]), dtype=weights.dtype)
        np.cumsum(weights[self._negative], axis=0, out=beaten[1:])
        positive = weights[self._positive]
        won = np.einsum("ij,ij->j", positive, beaten[self._below], dtype=np.float64)
        if self._ties:
            won = (won + np.einsum("ij,ij->j", positive, beaten[self._reached], dtype=np.float64)) / 2
        area: Tensor = won / (positive.sum(axis=0, dtype=np.float64) * beaten[-1])
        return area


def _areas_of(truth: Tensor, scores: Tensor) -> list[_Area]:
    """One curve for two classes, one each for more of them; none if a class has no rows, or a score is no number."""
    classes = scores.shape[1]
    if len(np.unique(truth)) < max(classes, 2) or not np.isfinite(scores).all():
        return []
    if classes == 2:  # noqa: PLR2004
        return [_Area(truth == 1, scores[:, 1])]
    # as they are: scaled to a sum of 1, equal scores would differ by a rounding, and be ranked
    return [_Area(truth == each, scores[:, each]) for each in range(classes)]


def _sum(weights: Tensor, values: Tensor) -> Tensor:
    total: Tensor = values.astype(weights.dtype) @ weights
    return total.astype(np.float64)


def _confidence(scores: Tensor, label: Tensor) -> Tensor:
    """The probability of each row's own label; 0 for a label that is no class."""
    own = np.where(label >= 0, scores[np.arange(len(label)), np.maximum(label, 0)], 0.0)
    clipped: Tensor = np.clip(np.nan_to_num(own), 0.0, 1.0)
    return clipped


def _bins(confidence: Tensor) -> Tensor:
    bins: Tensor = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return bins
