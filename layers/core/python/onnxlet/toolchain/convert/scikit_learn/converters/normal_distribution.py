"""The normal distribution in double precision, within 1e-14 of scipy's: ONNX has its error function for singles only.

Quantiles: Wichura, Algorithm AS 241 (1988), PPND16. The share below a number: Cody, Rational Chebyshev approximations
for the error function (1969), as far out as either is asked here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes

Coefficients = Sequence[float]
"""Of a polynomial, the constant first."""

_CENTRE = 0.425
_CENTRAL: tuple[Coefficients, Coefficients] = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_OUTER: tuple[Coefficients, Coefficients] = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
FARTHEST_SHARE = 2e-11
"""Quantiles of shares no nearer to 0 and 1 are right."""

_ERF_CENTRE, FARTHEST = 0.46875, 5.6
"""Shares below numbers no farther from 0 than FARTHEST are right."""
_ERF: tuple[Coefficients, Coefficients] = (
    (
        3.20937758913846947e03,
        3.77485237685302021e02,
        1.13864154151050156e02,
        3.16112374387056560e00,
        1.85777706184603153e-1,
    ),
    (2.84423683343917062e03, 1.28261652607737228e03, 2.44024637934444173e02, 2.36012909523441209e01, 1.0),
)
_ERFC: tuple[Coefficients, Coefficients] = (
    (
        1.23033935479799725e03,
        2.05107837782607147e03,
        1.71204761263407058e03,
        8.81952221241769090e02,
        2.98635138197400131e02,
        6.61191906371416295e01,
        8.88314979438837594e00,
        5.64188496988670089e-1,
        2.15311535474403846e-8,
    ),
    (
        1.23033935480374942e03,
        3.43936767414372164e03,
        4.36261909014324716e03,
        3.29079923573345963e03,
        1.62138957456669019e03,
        5.37181101862009858e02,
        1.17693950891312499e02,
        1.57449261107098347e01,
        1.0,
    ),
)


def normal_quantiles(nodes: Nodes, shares: str) -> str:
    """The numbers below which these shares of a standard normal distribution lie."""
    centred = nodes.add("Sub", shares, nodes.doubles([0.5]))
    radius = nodes.add("Sub", nodes.doubles([_CENTRE**2]), nodes.add("Mul", centred, centred))
    central = nodes.add("Mul", centred, _quotient(nodes, radius, _CENTRAL))
    is_low = nodes.add("Less", centred, nodes.doubles([0.0]))
    tail = nodes.add("Where", is_low, shares, nodes.add("Sub", nodes.doubles([1.0]), shares))
    distance = nodes.add("Sqrt", nodes.add("Neg", nodes.add("Log", tail)))
    outer = _quotient(nodes, nodes.add("Sub", distance, nodes.doubles([1.6])), _OUTER)
    outer = nodes.add("Where", is_low, nodes.add("Neg", outer), outer)
    is_central = nodes.add("LessOrEqual", nodes.add("Abs", centred), nodes.doubles([_CENTRE]))
    return nodes.add("Where", is_central, central, outer)


def normal_shares(nodes: Nodes, numbers: str) -> str:
    """The shares of a standard normal distribution that lie below these numbers."""
    scaled = nodes.add("Mul", numbers, nodes.doubles([np.sqrt(0.5)]))
    squared = nodes.add("Mul", scaled, scaled)
    half = nodes.doubles([0.5])
    central = nodes.add("Mul", nodes.add("Mul", half, scaled), _quotient(nodes, squared, _ERF))
    size = nodes.add("Abs", scaled)
    fall = nodes.add("Exp", nodes.add("Neg", squared))
    tail = nodes.add("Mul", nodes.add("Mul", half, fall), _quotient(nodes, size, _ERFC))
    above = nodes.add("Sub", nodes.doubles([1.0]), tail)
    outer = nodes.add("Where", nodes.add("Less", numbers, nodes.doubles([0.0])), tail, above)
    is_central = nodes.add("LessOrEqual", size, nodes.doubles([_ERF_CENTRE]))
    return nodes.add("Where", is_central, nodes.add("Add", half, central), outer)


def _quotient(nodes: Nodes, variable: str, polynomials: tuple[Coefficients, Coefficients]) -> str:
    above, below = (_polynomial(nodes, variable, coefficients) for coefficients in polynomials)
    return nodes.add("Div", above, below)


def _polynomial(nodes: Nodes, variable: str, coefficients: Coefficients) -> str:
    *rest, last = coefficients
    value = nodes.doubles([last])
    for coefficient in reversed(rest):
        value = nodes.add("Add", nodes.add("Mul", value, variable), nodes.doubles([coefficient]))
    return value
