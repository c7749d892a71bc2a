"""Tail probabilities of the tests, for functions whose layers have numpy and no scipy."""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt

import numpy as np

from onnxlet.values.tensors import Tensor

_STEPS = 80
_NEAR = 0.01
_CLOSE = 1e-12
_BELOW_HALF = 0.5 * (1 - 1e-15)


def chi_square_tail(statistic: float, degrees: int) -> float:
    """P(X >= statistic) for the chi-square distribution with an integer number of `degrees` of freedom, exactly.

    The finite sums of Abramowitz and Stegun, 26.4.4 and 26.4.5.
    """
    if statistic <= 0 or degrees == 0:
        return 1.0
    half = statistic / 2
    if degrees % 2:
        tail, term = erfc(sqrt(half)), exp(-half) * sqrt(half / pi) * 2
        first = 3
    else:
        tail, term = exp(-half), exp(-half) * half
        first = 4
    for step in range(first, degrees + 1, 2):
        tail += term
        term *= statistic / step
    return min(tail, 1.0)


def weighted_chi_squares_tail(statistic: float, weights: Tensor) -> float:
    """P(sum of weights[k] * Z[k]^2 >= statistic) for independent standard normal Z and `weights` above 0.

    The saddlepoint approximation of Lugannani and Rice, as Kuonen gives it for quadratic forms (Biometrika 86, 1999);
    its relative error is about a percent, also far out in the tail.
    """
    if statistic <= 0 or not len(weights):
        return 1.0
    if len(weights) == 1:
        return erfc(sqrt(statistic / weights[0] / 2))
    scale = float(weights.max())
    scaled, target = weights / scale, statistic / scale
    mean = float(scaled.sum())
    if abs(target - mean) < _NEAR * mean:  # there the formula is 0 / 0: a line from one side to the other
        ends = mean * (1 - _NEAR), mean * (1 + _NEAR)
        return float(np.interp(target, ends, [_saddlepoint(end, scaled) for end in ends]))
    return _saddlepoint(target, scaled)


def _saddlepoint(target: float, weights: Tensor) -> float:
    point = _saddle(target, weights)
    rest = 1 - 2 * point * weights
    cumulant = -0.5 * float(np.log(rest).sum())
    curvature = 2 * float(((weights / rest) ** 2).sum())
    sign = 1.0 if point > 0 else -1.0
    w = sign * sqrt(max(2 * (point * target - cumulant), 0.0))
    v = point * sqrt(curvature)
    tail = 0.5 * erfc((w + log(v / w) / w) / sqrt(2))
    return min(max(tail, 0.0), 1.0)


def _saddle(target: float, weights: Tensor) -> float:
    """Where the derivative of the cumulant generating function is `target`; it grows from 0 to infinity.

    By Newton's method for its reciprocal, which is concave (a harmonic mean of lines): from a point above, where the
    largest weight, 1, alone makes up the target, it comes down to the root and never beyond.
    """
    point = min(0.5 - 0.5 / target, _BELOW_HALF)
    for _ in range(_STEPS):
        shares = weights / (1 - 2 * point * weights)
        derivative = float(shares.sum())
        step = derivative * (1 - derivative / target) / (2 * float(shares @ shares))
        point = min(point + step, _BELOW_HALF)
        if abs(step) <= _CLOSE * abs(point):
            break
    return point
