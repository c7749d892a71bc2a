"""Approximations: what ONNX has no operator for is computed otherwise, and how near that comes is said.

The bounds are those that tests hold the graphs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from onnxlet.toolchain.convert.scikit_learn.converters.known_functions import is_composed
from onnxlet.toolchain.convert.scikit_learn.parts import all_parts

BOUND = 1e-14
"""The largest distance from what numpy and scipy compute, relative to it."""


def describe_bounds(estimator: Any) -> tuple[str, ...]:
    """What is approximated in an estimator, and how near it comes, for people."""
    found = [
        f"the {type(part).__name__} computes {what} in double precision, within {BOUND:g} of scipy's, relative to it"
        for part in all_parts(estimator)
        for what in _approximated(part)
    ]
    return tuple(dict.fromkeys(found))


def _approximated(part: Any) -> Iterator[str]:
    reader = _READERS.get(type(part).__name__)
    return iter(()) if reader is None else reader(part)


def _functions(part: Any) -> Iterator[str]:
    for function in (part.func, part.inverse_func):
        if is_composed(function):
            yield str(function.__name__)


def _quantiles(part: Any) -> Iterator[str]:
    if part.output_distribution == "normal":
        yield "normal quantiles"


_READERS: Mapping[str, Callable[[Any], Iterator[str]]] = MappingProxyType(
    {
        "FunctionTransformer": _functions,
        "QuantileTransformer": _quantiles,
    }
)
"""By class of scikit-learn's: what it computes otherwise than scikit-learn."""
