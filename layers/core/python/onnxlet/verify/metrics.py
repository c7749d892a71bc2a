"""Metrics of answers against the truth, of many weightings of the rows at once: a bootstrap's resamples are such.

`weights` [resamples, rows] count how often each resample has a row; a measure is [resamples], NaN where it cannot be
told. The areas under curves, F1 and R squared are scikit-learn's; the calibration error is that of the label's own
probability over 15 bins of equal width (Guo et al. 2017, On Calibration of Modern Neural Networks).
"""

from __future__ import annotations

import numpy as np

from onnxlet.tensors import Tensor, Tensors

CALIBRATION_BINS = 15
AREAS_OF_MANY = 5
"""Of so many resamples one has its areas under the curves of more than two classes told, which take a while."""


def positions(values: Tensor, classes: Tensor) -> Tensor:
    """Where each value stands among the classes; -1 for one that is none."""
    place = {value: index for index, value in enumerate(classes.tolist())}
    return np.array([place.get(value, -1) for value in values.ravel().tolist()], dtype=np.int64)


def classification_measures(
    weights: Tensor, truth: Tensor, label: Tensor, probabilities: Tensor | None, classes: int
) -> Tensors:
    """Accuracy, F1 (of the second of two classes, else the mean), area under the curve and calibration error.

    `truth` and `label` are positions among the classes.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(axis=1, dtype=np.float64)
        right = truth == label
        measured = {"accuracy": _weighted(weights, right) / total}
        support, found, predicted = _counts(weights, truth, label, classes)
        f1 = np.divide(2 * found, support + predicted, out=np.zeros_like(found), where=support + predicted > 0)
        measured["f1"] = f1[:, 1] if classes == 2 else f1.mean(axis=1)  # noqa: PLR2004
        if probabilities is not None:
            scores = probabilities.astype(np.float64)
            measured["auc"] = _areas(weights, truth, scores)
            measured["calibration_error"] = _calibration_error(weights, right, _confidence(scores, label)) / total
    return measured


def recalls(truth: Tensor, label: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Per class: its rows, its sensitivity and its specificity; NaN where there are no rows to tell by."""
    support, found, predicted = (counts[0] for counts in _counts(np.ones((1, len(truth))), truth, label, classes))
    others = len(truth) - support
    with np.errstate(invalid="ignore", divide="ignore"):
        return support, found / support, 1 - (predicted - found) / others


def regression_measures(weights: Tensor, truth: Tensor, prediction: Tensor) -> Tensors:
    """Root mean squared error, mean absolute error and R squared."""
    truth, prediction = truth.astype(np.float64).ravel(), prediction.astype(np.float64).ravel()
    away = truth - prediction
    # centred first, so that the squares do not drown the differences
    centred = truth - truth.mean()
    total = weights.sum(axis=1, dtype=np.float64)
    squared = _weighted(weights, away**2)
    around = _weighted(weights, centred**2) - _weighted(weights, centred) ** 2 / total
    spread = np.where((around > 1e-12 * (centred**2).sum()) & (total > 1), around, np.nan)
    return {
        "rmse": np.sqrt(squared / total),
        "mae": _weighted(weights, np.abs(away)) / total,
        "r2": 1 - squared / spread,
    }


def mean_measure(weights: Tensor, values: Tensor) -> Tensor:
    """The mean of one value per row."""
    mean: Tensor = _weighted(weights, values) / weights.sum(axis=1, dtype=np.float64)
    return mean


def calibration_curve(truth: Tensor, label: Tensor, probabilities: Tensor) -> list[tuple[float, float, int]]:
    """Mean probability of the label, share of right labels and rows, by bin of that probability."""
    confidence = _confidence(probabilities.astype(np.float64), label)
    bins = _bins(confidence)
    right = truth == label
    return [
        (float(confidence[bins == each].mean()), float(right[bins == each].mean()), int((bins == each).sum()))
        for each in np.unique(bins)
    ]


def classification_metrics(
    truth: Tensor, label: Tensor, probabilities: Tensor | None, classes: Tensor
) -> dict[str, float]:
    """Accuracy, F1 (of the second of two classes, else the mean) and, with probabilities, the area under the curve."""
    one = np.ones((1, len(truth)))
    measured = classification_measures(
        one, positions(truth, classes), positions(label, classes), probabilities, len(classes)
    )
    return {name: value for name, value in _told(measured).items() if name in {"accuracy", "f1", "auc"}}


def regression_metrics(truth: Tensor, prediction: Tensor) -> dict[str, float]:
    """Root mean squared error, mean absolute error and, where the truth varies, R squared."""
    return _told(regression_measures(np.ones((1, truth.size)), truth, prediction))


def _told(measured: Tensors) -> dict[str, float]:
    return {name: float(value[0]) for name, value in measured.items() if np.isfinite(value[0])}


def _weighted(weights: Tensor, values: Tensor) -> Tensor:
    total: Tensor = weights @ values.astype(weights.dtype)
    return total.astype(np.float64)


def _counts(weights: Tensor, truth: Tensor, label: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """By resample and class: its rows, those of them that were found, and the rows that were taken for it."""
    return (
        _grouped(weights, truth, classes),
        _grouped(weights, np.where(truth == label, truth, -1), classes),
        _grouped(weights, label, classes),
    )


def _grouped(weights: Tensor, groups: Tensor, count: int) -> Tensor:
    """The weights summed by group; rows of group -1 are left out."""
    sums = np.zeros((len(weights), count))
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    if len(order):
        present, starts = np.unique(groups[order], return_index=True)
        sums[:, present] = np.add.reduceat(weights[:, order], starts, axis=1)
    return sums


def _areas(weights: Tensor, truth: Tensor, scores: Tensor) -> Tensor:
    """The area under the curve of the second of two classes, else the mean of those of each class against the rest."""
    classes = scores.shape[1]
    if classes == 2:  # noqa: PLR2004
        return _area(weights, truth == 1, scores[:, 1])
    if classes < 2 or len(np.unique(truth)) < classes:  # noqa: PLR2004
        return np.full(len(weights), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = scores / scores.sum(axis=1, keepdims=True)
    some = weights[: -(-len(weights) // AREAS_OF_MANY)]
    areas = np.mean([_area(some, truth == each, scores[:, each]) for each in range(classes)], axis=0)
    return np.concatenate([areas, np.full(len(weights) - len(some), np.nan)])


def _area(weights: Tensor, positive: Tensor, score: Tensor) -> Tensor:
    """The share of pairs of a positive and a negative row that the score ranks right; equal scores count half."""
    if not np.isfinite(score).all():
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    ranked = weights[:, order]
    starts = np.unique(score[order], return_index=True)[1]
    above = np.add.reduceat(ranked * positive[order], starts, axis=1)
    below = np.add.reduceat(ranked * ~positive[order], starts, axis=1)
    reached = np.cumsum(below, axis=1)
    won = np.einsum("ij,ij->i", above, reached - below / 2, dtype=np.float64)
    area: Tensor = won / (above.sum(axis=1, dtype=np.float64) * reached[:, -1])
    return area


def _confidence(scores: Tensor, label: Tensor) -> Tensor:
    """The probability of each row's own label; 0 for a label that is no class."""
    held = np.where(label >= 0, scores[np.arange(len(label)), np.maximum(label, 0)], 0.0)
    clipped: Tensor = np.clip(np.nan_to_num(held), 0.0, 1.0)
    return clipped


def _bins(confidence: Tensor) -> Tensor:
    bins: Tensor = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return bins


def _calibration_error(weights: Tensor, right: Tensor, confidence: Tensor) -> Tensor:
    gap = (right - confidence).astype(weights.dtype)
    error: Tensor = np.abs(_grouped(weights * gap, _bins(confidence), CALIBRATION_BINS)).sum(axis=1)
    return error
