"""QuantileTransformer in double precision; skl2onnx 1.20 has single ones, and none with a normal distribution.

Numbers are interpolated upwards and downwards, whose mean counts: of a number that is several quantiles at once, they
give the last and the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlet.toolchain.convert.scikit_learn.converters.interpolation import interpolate
from onnxlet.toolchain.convert.scikit_learn.converters.normal_distribution import normal_quantiles, normal_shares
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor

_NEAR = 1e-7
"""How near to an end of the known range numbers count as the end, for normal distributions."""
_SMALLEST = _NEAR - np.spacing(1)
"""The share that the quantile of 0 is taken for, which would be infinite."""


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the shares, or the quantiles of the normal distribution for these."""
    transformer, nodes = operator.raw_operator, Nodes(scope, container)
    numbers = nodes.rows(operator)
    quantiles, references = _points(transformer)
    upwards = interpolate(nodes, numbers, quantiles, references)
    downwards = interpolate(nodes, nodes.add("Neg", numbers), -quantiles[:, ::-1], -references[:, ::-1])
    shares = nodes.add("Mul", nodes.doubles([0.5]), nodes.add("Sub", upwards, downwards))
    is_normal = transformer.output_distribution == "normal"
    is_low, is_high = _at_ends(nodes, numbers, quantiles[None, :, [0, -1]], near=is_normal)
    shares = nodes.add("Where", is_high, nodes.doubles([1.0]), shares)
    shares = nodes.add("Where", is_low, nodes.doubles([0.0]), shares)
    nodes.write_rows(_normal(nodes, shares) if is_normal else shares, operator.outputs[0])


def write_inverse(nodes: Nodes, values: str, transformer: Any) -> str:
    """The numbers that it would transform into these values [N, columns]."""
    is_normal = transformer.output_distribution == "normal"
    shares = normal_shares(nodes, values) if is_normal else values
    quantiles, references = _points(transformer)
    numbers = interpolate(nodes, shares, references, quantiles)
    is_low, is_high = _at_ends(nodes, shares, np.array([[[0.0, 1.0]]]), near=is_normal)
    numbers = nodes.add("Where", is_high, nodes.doubles(quantiles[None, :, -1]), numbers)
    return nodes.add("Where", is_low, nodes.doubles(quantiles[None, :, 0]), numbers)


def _points(transformer: Any) -> tuple[Tensor, Tensor]:
    """The quantiles of each column and the shares that lie below them [columns, quantiles]."""
    quantiles = np.asarray(transformer.quantiles_, dtype=np.float64).T
    return quantiles, np.broadcast_to(np.asarray(transformer.references_, dtype=np.float64), quantiles.shape)


def _at_ends(nodes: Nodes, given: str, ends: Tensor, *, near: bool) -> tuple[str, str]:
    """Where the given numbers [N, columns] are at the lower and the upper end of `ends` [1, columns, 2], or near it."""
    low, high = (nodes.doubles(end) for end in np.moveaxis(ends, 2, 0))
    if not near:
        return nodes.add("Equal", given, low), nodes.add("Equal", given, high)
    width = nodes.doubles([_NEAR])
    is_high = nodes.add("Greater", nodes.add("Add", given, width), high)
    return nodes.add("Less", nodes.add("Sub", given, width), low), is_high


def _normal(nodes: Nodes, shares: str) -> str:
    smallest, largest = nodes.doubles([_SMALLEST]), nodes.doubles([1 - _SMALLEST])
    shares = nodes.add("Where", nodes.add("Less", shares, smallest), smallest, shares)
    return normal_quantiles(nodes, nodes.add("Where", nodes.add("Greater", shares, largest), largest, shares))
