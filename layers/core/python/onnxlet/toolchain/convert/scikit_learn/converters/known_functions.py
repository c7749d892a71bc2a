"""Known functions of numpy and scipy.special, in double precision: within 1e-14 of theirs, relative to the answer.

ONNX has neither log(1 + x) nor exp(x) - 1, which lose all digits near 0 if they are put together plainly. Kahan's way
around it: what rounding did to 1 + x, it did to the logarithm's argument too, and the quotient of both is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes

Writer = Callable[[Nodes, str], str]
"""Writes a function of doubles, and returns the name of its values, of the same shape."""


def known_function(function: Any) -> Writer | None:
    """What writes the function; None for one that is not known. No function at all leaves numbers as they are."""
    if function is None:
        return _WRITERS["positive"]
    return _WRITERS.get(function.__name__) if _is_known(function) else None


def is_composed(function: Any) -> bool:
    """Whether a known function is put together of others here, for want of an operator."""
    return _is_known(function) and function.__name__ in _COMPOSED


def _is_known(function: Any) -> bool:
    import scipy.special

    name = getattr(function, "__name__", "")
    return name in _WRITERS and any(getattr(home, name, None) is function for home in (np, scipy.special))


def log1p(nodes: Nodes, values: str) -> str:
    """The logarithm of 1 + x."""
    one = nodes.doubles([1.0])
    whole = nodes.add("Add", values, one)
    logarithm = nodes.add("Log", whole)
    exact = nodes.add("Div", nodes.add("Mul", logarithm, values), nodes.add("Sub", whole, one))
    small = nodes.add("Equal", whole, one)
    large = nodes.add("Equal", whole, values)
    return nodes.add("Where", small, values, nodes.add("Where", large, logarithm, exact))


def expm1(nodes: Nodes, values: str) -> str:
    """The exponential less 1."""
    one = nodes.doubles([1.0])
    power = nodes.add("Exp", values)
    less = nodes.add("Sub", power, one)
    exact = nodes.add("Mul", less, nodes.add("Div", values, nodes.add("Log", power)))
    # where the power is 0 or infinite, its logarithm says nothing of x
    lost = nodes.add("Or", nodes.add("IsInf", power), nodes.add("Equal", less, nodes.doubles([-1.0])))
    return nodes.add("Where", nodes.add("Equal", power, one), values, nodes.add("Where", lost, less, exact))


def _scaled_log(base: float) -> Writer:
    return lambda nodes, values: nodes.add("Div", nodes.add("Log", values), nodes.doubles([np.log(base)]))


def _operator(name: str) -> Writer:
    return lambda nodes, values: nodes.add(name, values)


def _square(nodes: Nodes, values: str) -> str:
    return nodes.add("Mul", values, values)


def _exp2(nodes: Nodes, values: str) -> str:
    return nodes.add("Pow", nodes.doubles([2.0]), values)


def _with_sign_of(nodes: Nodes, values: str, sizes: str) -> str:
    negative = nodes.add("Less", values, nodes.doubles([0.0]))
    return nodes.add("Where", negative, nodes.add("Neg", sizes), sizes)


def _cbrt(nodes: Nodes, values: str) -> str:
    """Of sizes: a power, and Newton's step from there, as a third is no double; none from 0 and infinity."""
    size, third = nodes.add("Abs", values), nodes.doubles([1 / 3])
    root = nodes.add("Pow", size, third)
    error = nodes.add("Sub", root, nodes.add("Div", size, nodes.add("Mul", root, root)))
    refined = nodes.add("Sub", root, nodes.add("Mul", third, error))
    return _with_sign_of(nodes, values, nodes.add("Where", nodes.add("IsNaN", refined), root, refined))


def _arcsinh(nodes: Nodes, values: str) -> str:
    """Of sizes: log1p(x + x x / (1 + sqrt(1 + x x))); of large ones log(2) + log(x), whose squares would overflow."""
    size, one = nodes.add("Abs", values), nodes.doubles([1.0])
    squared = nodes.add("Mul", size, size)
    root = nodes.add("Add", one, nodes.add("Sqrt", nodes.add("Add", one, squared)))
    small = log1p(nodes, nodes.add("Add", size, nodes.add("Div", squared, root)))
    large = nodes.add("Add", nodes.add("Log", size), nodes.doubles([np.log(2)]))
    is_large = nodes.add("Greater", size, nodes.doubles([1e10]))
    return _with_sign_of(nodes, values, nodes.add("Where", is_large, large, small))


def _sinh(nodes: Nodes, values: str) -> str:
    """Of sizes: half of e + e / (e + 1), for e the exponential less 1; of large ones half of the exponential."""
    size, half = nodes.add("Abs", values), nodes.doubles([0.5])
    less = expm1(nodes, size)
    both = nodes.add("Add", less, nodes.add("Div", less, nodes.add("Add", less, nodes.doubles([1.0]))))
    root = nodes.add("Exp", nodes.add("Mul", half, size))
    large = nodes.add("Mul", nodes.add("Mul", half, root), root)
    is_large = nodes.add("Greater", size, nodes.doubles([40.0]))
    return _with_sign_of(nodes, values, nodes.add("Where", is_large, large, nodes.add("Mul", half, both)))


def expit(nodes: Nodes, values: str) -> str:
    """The logistic function; ONNX Runtime's own is level far from 0."""
    one = nodes.doubles([1.0])
    return nodes.add("Div", one, nodes.add("Add", one, nodes.add("Exp", nodes.add("Neg", values))))


def _logit(nodes: Nodes, values: str) -> str:
    """The logarithm of the odds; near a half that of 1 + s less that of 1 - s, for s twice the distance from it."""
    odds = nodes.add("Log", nodes.add("Div", values, nodes.add("Sub", nodes.doubles([1.0]), values)))
    centred = nodes.add("Sub", values, nodes.doubles([0.5]))
    twice = nodes.add("Add", centred, centred)
    near = nodes.add("Sub", log1p(nodes, twice), log1p(nodes, nodes.add("Neg", twice)))
    is_near = nodes.add("Less", nodes.add("Abs", centred), nodes.doubles([0.2]))
    return nodes.add("Where", is_near, near, odds)


_WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "log": _operator("Log"),
        "log1p": log1p,
        "log2": _scaled_log(2.0),
        "log10": _scaled_log(10.0),
        "exp": _operator("Exp"),
        "expm1": expm1,
        "exp2": _exp2,
        "sqrt": _operator("Sqrt"),
        "cbrt": _cbrt,
        "square": _square,
        "absolute": _operator("Abs"),
        "fabs": _operator("Abs"),
        "negative": _operator("Neg"),
        "positive": _operator("Identity"),
        "reciprocal": _operator("Reciprocal"),
        "arcsinh": _arcsinh,
        "sinh": _sinh,
        "tanh": _operator("Tanh"),
        "expit": expit,
        "logit": _logit,
        "floor": _operator("Floor"),
        "ceil": _operator("Ceil"),
        "rint": _operator("Round"),
    }
)
KNOWN = ", ".join(_WRITERS)
_COMPOSED = frozenset({"log1p", "expm1", "log2", "log10", "cbrt", "arcsinh", "sinh", "expit", "logit"})
