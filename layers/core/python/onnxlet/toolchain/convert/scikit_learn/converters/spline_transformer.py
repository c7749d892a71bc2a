"""SplineTransformer: B-splines as polynomials between knots, in double precision.

The polynomials are the Taylor expansions at the knots, by the derivatives that scipy gives there. What lies beyond the
knots is a piece like any other.
"""

from __future__ import annotations

from math import factorial
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.converters.interpolation import Pieces
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor

_LEAST_DEGREE = {"constant": 1, "linear": 2}
"""By extrapolation. Of lower degrees scikit-learn 1.9 answers otherwise in one column than in another, or fails."""


class _Polynomials(NamedTuple):
    """What the splines of one column are, piece by piece: each begins at its limit."""

    limits: Tensor
    origins: Tensor
    """Where the pieces' variable is 0 [pieces]."""
    coefficients: Tensor
    """[pieces, degree + 1, splines], the constants first."""


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the splines. Raises ConversionError for extrapolations that have no form here."""
    transformer, nodes = operator.raw_operator, Nodes(scope, container)
    _check(transformer)
    numbers = nodes.rows(operator)
    if transformer.extrapolation == "periodic":
        numbers = _within_period(nodes, numbers, transformer)
    columns = [_polynomials(spline, transformer) for spline in transformer.bsplines_]
    limits, origins, coefficients = (np.stack(each) for each in zip(*columns, strict=True))
    pieces = Pieces(nodes, numbers, limits)
    within = numbers
    if transformer.extrapolation == "constant":
        # infinity times nothing is no number
        ends = limits[:, [1, -1]]
        within = nodes.add(
            "Max", nodes.add("Min", numbers, nodes.doubles(ends[None, :, 1])), nodes.doubles(ends[None, :, 0])
        )
    way = nodes.add("Sub", within, pieces.look_up(origins))
    last = nodes.constant(TensorProto.INT64, [1], [2])
    splines = _evaluate(nodes, pieces, nodes.add("Unsqueeze", way, last), coefficients)
    if getattr(transformer, "handle_missing", "error") == "zeros":
        missing = nodes.add("Unsqueeze", nodes.add("IsNaN", numbers), last)
        splines = nodes.add("Where", missing, nodes.doubles([0.0]), splines)
    width = len(columns) * coefficients.shape[3]
    side_by_side = nodes.add("Reshape", splines, nodes.constant(TensorProto.INT64, [2], [0, width]))
    nodes.write_rows(side_by_side, operator.outputs[0])


def _check(transformer: Any) -> None:
    extrapolation, degree = transformer.extrapolation, transformer.degree
    if extrapolation == "error":
        raise ConversionError(
            "the SplineTransformer refuses numbers beyond its knots (extrapolation='error'), which has no form here: "
            "choose 'constant', 'linear', 'continue' or 'periodic', and refuse such rows before they are sent",
            estimator="SplineTransformer",
        )
    if degree < _LEAST_DEGREE.get(extrapolation, 0):
        raise ConversionError(
            f"the SplineTransformer of degree {degree} with extrapolation={extrapolation!r} has no ONNX form here: "
            "choose extrapolation='continue', which goes on in a straight line from degree 1",
            estimator="SplineTransformer",
        )


def _within_period(nodes: Nodes, numbers: str, transformer: Any) -> str:
    degree = transformer.degree
    first = np.array([spline.t[degree] for spline in transformer.bsplines_])
    period = np.array([spline.t[-degree - 1] for spline in transformer.bsplines_]) - first
    if not period.all():
        raise ConversionError(
            "the SplineTransformer is periodic in a column that never changes: leave the column out, and fit it again",
            estimator="SplineTransformer",
        )
    start, length = nodes.doubles(first[None]), nodes.doubles(period[None])
    rest = nodes.add("Mod", nodes.add("Sub", numbers, start), length, fmod=1)
    negative = nodes.add("Less", rest, nodes.doubles([0.0]))
    return nodes.add("Add", start, nodes.add("Where", negative, nodes.add("Add", rest, length), rest))


def _polynomials(spline: Any, transformer: Any) -> _Polynomials:
    """Those between the knots, and those before the first and behind the last."""
    degree, extrapolation = transformer.degree, transformer.extrapolation
    knots = np.asarray(spline.t[degree:-degree] if degree else spline.t, dtype=np.float64)
    starts, first, last = knots[:-1], knots[0], knots[-1]
    inner = _expand(spline, starts, degree)
    if extrapolation in ("constant", "linear"):
        outer = _expand(spline, np.array([first, last]), degree)
        outer[:, 1 if extrapolation == "constant" else 2 :] = 0
        limits = np.concatenate([[-np.inf], starts, [np.nextafter(last, np.inf)]])
        origins = np.concatenate([[first], starts, [last]])
        inner = np.concatenate([outer[:1], inner, outer[1:]])
    else:
        # where the first knots are one, scipy goes on from the piece of no length between them
        before = np.nextafter(first, -np.inf)
        limits, origins = np.concatenate([[-np.inf], starts]), np.concatenate([[before], starts])
        inner = np.concatenate([_expand(spline, np.array([before]), degree), inner])
    kept = inner if transformer.include_bias else inner[:, :, :-1]
    return _Polynomials(limits, origins, kept)


def _expand(spline: Any, places: Tensor, degree: int) -> Tensor:
    """The Taylor coefficients at these places [places, degree + 1, splines]."""
    return np.stack([spline(places, nu=power) / factorial(power) for power in range(degree + 1)], axis=1)


def _evaluate(nodes: Nodes, pieces: Pieces, variable: str, coefficients: Tensor) -> str:
    """The polynomials' values [N, columns, splines] for a variable [N, columns, 1], by Horner's rule."""
    value = pieces.look_up(coefficients[:, :, -1])
    for power in range(coefficients.shape[2] - 2, -1, -1):
        value = nodes.add("Add", nodes.add("Mul", value, variable), pieces.look_up(coefficients[:, :, power]))
    return value
