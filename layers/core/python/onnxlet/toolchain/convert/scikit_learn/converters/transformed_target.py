"""TransformedTargetRegressor: the regressor's predictions, transformed back in double precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import TensorProto

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.converters import quantile_transformer
from onnxlet.toolchain.convert.scikit_learn.converters.function_transformer import writer_of
from onnxlet.toolchain.convert.scikit_learn.converters.known_functions import log1p
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes
from onnxlet.values.tensors import Tensor

NAME = "TransformedTargetRegressor"
Inverse = Callable[[Nodes, str, Any], str]
"""Writes what a transformer's inverse makes of values [N, targets]."""


def declare(operator: Any) -> None:
    """Declare a column for each target."""
    from skl2onnx.common.data_types import guess_tensor_type

    kind = type(guess_tensor_type(operator.inputs[0].type))
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), _targets(operator.raw_operator)])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the regressor, and the inverse. Raises ConversionError for a transformer that is not known."""
    from skl2onnx import get_model_alias

    estimator, nodes = operator.raw_operator, Nodes(scope, container)
    part = scope.declare_local_operator(get_model_alias(type(estimator.regressor_)), estimator.regressor_)
    part.inputs = operator.inputs
    predicted = scope.declare_local_variable("transformed_prediction", type(operator.outputs[0].type)())
    part.outputs.append(predicted)
    shape = nodes.constant(TensorProto.INT64, [2], [-1, _targets(estimator)])
    values = nodes.add("Reshape", nodes.add("Cast", predicted.onnx_name, to=TensorProto.DOUBLE), shape)
    nodes.write_rows(_inverse(nodes, values, estimator.transformer_), operator.outputs[0])


def _targets(estimator: Any) -> int:
    return int(estimator.transformer_.n_features_in_)


def _inverse(nodes: Nodes, values: str, transformer: Any) -> str:
    write = INVERSES.get(type(transformer).__name__)
    if write is None:
        raise ConversionError(
            f"the {NAME} transforms its target by a {type(transformer).__name__}, whose inverse has no ONNX form here: "
            f"choose one of {', '.join(INVERSES)}, or func and inverse_func of numpy's",
            estimator=NAME,
        )
    return write(nodes, values, transformer)


def _function(nodes: Nodes, values: str, transformer: Any) -> str:
    advice = "fit the regressor on what it makes of the target, and compute the inverse of what is served"
    return writer_of(transformer.inverse_func, transformer.inv_kw_args, NAME, advice)(nodes, values)


def _pipeline(nodes: Nodes, values: str, transformer: Any) -> str:
    for _, step in reversed(transformer.steps):
        values = values if step in (None, "passthrough") else _inverse(nodes, values, step)
    return values


def _scaled(nodes: Nodes, values: str, transformer: Any) -> str:
    """Of a scaler: (x - shift) / scale."""
    scale = getattr(transformer, "scale_", None)
    shift = getattr(transformer, "center_", None)
    # it knows the mean even if it leaves it where it is
    shift = transformer.mean_ if getattr(transformer, "with_mean", False) else shift
    values = values if scale is None else nodes.add("Mul", values, nodes.doubles(np.atleast_1d(scale)))
    return values if shift is None else nodes.add("Add", values, nodes.doubles(np.atleast_1d(shift)))


def _min_max(nodes: Nodes, values: str, transformer: Any) -> str:
    values = nodes.add("Sub", values, nodes.doubles(transformer.min_))
    return nodes.add("Div", values, nodes.doubles(transformer.scale_))


def _powers(nodes: Nodes, values: str, transformer: Any) -> str:
    if transformer.standardize:
        values = _scaled(nodes, values, transformer._scaler)  # noqa: SLF001 - there is no public way
    exponents = np.asarray(transformer.lambdas_, dtype=np.float64)
    if transformer.method == "box-cox":
        return _inverse_box_cox(nodes, values, exponents)
    above = nodes.add("Sub", _inverse_power(nodes, values, exponents), nodes.doubles([1.0]))
    mirrored = _inverse_power(nodes, nodes.add("Neg", values), 2 - exponents)
    below = nodes.add("Sub", nodes.doubles([1.0]), mirrored)
    return nodes.add("Where", nodes.add("Less", values, nodes.doubles([0.0])), below, above)


def _inverse_box_cox(nodes: Nodes, values: str, exponents: Tensor) -> str:
    """exp(log1p(e x) / e), which is exp(x) where e is 0."""
    zero = exponents == 0
    divisors = np.where(zero, 1.0, exponents)
    logarithm = log1p(nodes, nodes.add("Mul", values, nodes.doubles(divisors)))
    grown = nodes.add("Exp", nodes.add("Div", logarithm, nodes.doubles(divisors)))
    return nodes.add("Where", _flags(nodes, zero), nodes.add("Exp", values), grown)


def _inverse_power(nodes: Nodes, values: str, exponents: Tensor) -> str:
    """(1 + e x) to the power of 1 / e, which is exp(x) where e is as good as 0."""
    small = np.abs(exponents) <= np.spacing(1.0)
    divisors = np.where(small, 1.0, exponents)
    grown = nodes.add("Add", nodes.add("Mul", values, nodes.doubles(divisors)), nodes.doubles([1.0]))
    power = nodes.add("Pow", grown, nodes.doubles(1 / divisors))
    return nodes.add("Where", _flags(nodes, small), nodes.add("Exp", values), power)


def _flags(nodes: Nodes, flags: Tensor) -> str:
    return nodes.constant(TensorProto.BOOL, [len(flags)], flags)


def _quantiles(nodes: Nodes, values: str, transformer: Any) -> str:
    return quantile_transformer.write_inverse(nodes, values, transformer)


INVERSES: Mapping[str, Inverse] = MappingProxyType(
    {
        "FunctionTransformer": _function,
        "Pipeline": _pipeline,
        **dict.fromkeys(("StandardScaler", "RobustScaler", "MaxAbsScaler"), _scaled),
        "MinMaxScaler": _min_max,
        "PowerTransformer": _powers,
        "QuantileTransformer": _quantiles,
    }
)
"""By class of transformers: what writes its inverse."""
