"""Approximations: what ONNX has no operator for is computed otherwise, and how near that comes is said.

The bounds are those that tests hold the graphs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnxlet.toolchain.convert.scikit_learn.converters.known_functions import is_composed
from onnxlet.toolchain.convert.scikit_learn.converters.transformed_target import NAME as TARGET
from onnxlet.toolchain.convert.scikit_learn.known_columns import chooses_among_neighbours
from onnxlet.toolchain.convert.scikit_learn.parts import all_parts

BOUND = 1e-14
"""The largest distance from what numpy and scipy compute, relative to it."""


def describe_bounds(estimator: Any) -> tuple[str, ...]:
    """What is approximated in an estimator, and how near it comes, and what it leaves to chance, for people."""
    parts = list(all_parts(estimator))
    targets = [part for part in parts if type(part).__name__ == TARGET]
    # these are only ever inverted
    inverted = {
        id(part): part
        for each in targets
        for kept in (each.transformer, getattr(each, "transformer_", None))
        for part in all_parts(kept)
    }
    found = [(type(part).__name__, what) for part in parts if id(part) not in inverted for what in _forwards(part)]
    found += [(TARGET, what) for part in inverted.values() for what in _backwards(part)]
    said = [
        f"the {name} computes {what} in double precision, within {BOUND:g} of scipy's, relative to it"
        for name, what in found
    ]
    if chooses_among_neighbours(estimator):
        said.append("the KNNImputer takes any of equally near neighbours, the version the first: gaps can differ so")
    return tuple(dict.fromkeys(said))


def _forwards(part: Any) -> Iterator[str]:
    kind = type(part).__name__
    if kind == "FunctionTransformer" and is_composed(part.func):
        yield str(part.func.__name__)
    elif kind == "QuantileTransformer" and part.output_distribution == "normal":
        yield "normal quantiles"


def _backwards(part: Any) -> Iterator[str]:
    kind = type(part).__name__
    if kind == "FunctionTransformer" and is_composed(part.inverse_func):
        yield str(part.inverse_func.__name__)
    elif kind == "QuantileTransformer" and part.output_distribution == "normal":
        yield "the normal distribution"
