"""PowerTransformer in double precision: skl2onnx 1.20 has single ones, which lose digits or give other numbers.

Powers of features that are far from 1 nearly cancel, so a rounded feature moves the answer by much more than it moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.toolchain.convert.scikit_learn.nodes import Converter, Nodes
from onnxlet.values.tensors import Tensor

_SMALL = 1e-8
"""Exponents no farther from 0 make a logarithm of a power, whose difference from 1 would have no digits left."""


def patch_power_transformer_shape() -> None:
    """Let double inputs give double outputs."""
    from skl2onnx.common._registration import register_shape_calculator

    register_shape_calculator("SklearnPowerTransformer", _shape, overwrite=True)


def power_transformer_converter(_: Converter) -> Converter:
    """A converter of PowerTransformer; the one that it replaces is not used."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        from skl2onnx.common.data_types import DoubleTensorType

        transformer, nodes = operator.raw_operator, Nodes(scope, container)
        columns = [nodes.add("Cast", variable.full_name, to=TensorProto.DOUBLE) for variable in operator.inputs]
        rows = columns[0] if len(columns) == 1 else nodes.add("Concat", *columns, axis=1)
        write = _write_box_cox if transformer.method == "box-cox" else _write_yeo_johnson
        powers = write(nodes, rows, np.asarray(transformer.lambdas_, dtype=np.float64))
        if transformer.standardize:
            scaler = transformer._scaler  # noqa: SLF001 - there is no public way
            powers = nodes.add("Div", nodes.add("Sub", powers, _row(nodes, scaler.mean_)), _row(nodes, scaler.scale_))
        double = isinstance(operator.outputs[0].type, DoubleTensorType)
        to = TensorProto.DOUBLE if double else TensorProto.FLOAT
        nodes.add("Cast", powers, output=operator.outputs[0].full_name, to=to)

    return write_operator


def _write_box_cox(nodes: Nodes, rows: str, exponents: Tensor) -> str:
    """(x^e - 1) / e, or the logarithm for e = 0; ONNX Runtime refuses rows with other numbers than positive ones."""
    positive = nodes.add("Greater", rows, _row(nodes, [0.0]))
    allowed = nodes.add("Or", positive, nodes.add("IsNaN", rows))
    return _write_power(nodes, nodes.add("Log", nodes.refuse_unless(allowed, rows)), exponents)


def _write_yeo_johnson(nodes: Nodes, rows: str, exponents: Tensor) -> str:
    """Box and Cox's power of 1 + x from 0 up; below, minus that of 1 - x by the exponent 2 - e."""
    logarithm = nodes.add("Log", nodes.add("Add", nodes.add("Abs", rows), _row(nodes, [1.0])))
    above = _write_power(nodes, logarithm, exponents)
    below = nodes.add("Neg", _write_power(nodes, logarithm, 2 - exponents))
    return nodes.add("Where", nodes.add("Less", rows, _row(nodes, [0.0])), below, above)


def _write_power(nodes: Nodes, logarithm: str, exponents: Tensor) -> str:
    """(exp(e l) - 1) / e for logarithms l [N, columns]; near e = 0 its first terms, l + e l^2 / 2."""
    small = np.abs(exponents) <= _SMALL
    divisors = np.where(small, 1.0, exponents)
    grown = nodes.add("Exp", nodes.add("Mul", logarithm, _row(nodes, divisors)))
    power = nodes.add("Div", nodes.add("Sub", grown, _row(nodes, [1.0])), _row(nodes, divisors))
    if not small.any():
        return power
    half = nodes.add("Mul", nodes.add("Mul", logarithm, logarithm), _row(nodes, exponents / 2))
    smalls = nodes.constant(TensorProto.BOOL, [1, len(small)], small)
    return nodes.add("Where", smalls, nodes.add("Add", logarithm, half), power)


def _row(nodes: Nodes, values: Any) -> str:
    numbers = np.asarray(values, dtype=np.float64)
    return nodes.constant(TensorProto.DOUBLE, [1, len(numbers)], numbers)


def _shape(operator: Any) -> None:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    shape = [operator.inputs[0].type.shape[0], len(operator.raw_operator.lambdas_)]
    operator.outputs[0].type = (DoubleTensorType if double else FloatTensorType)(shape)
