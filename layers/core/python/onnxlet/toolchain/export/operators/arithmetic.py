"""Operators that work element by element, and matrix products."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import onnx
import tensorflow as tf

from onnxlet.toolchain.export.operators.call import OPERATORS, NodeCall, operator

_OF_ONE: dict[str, Callable[[Any], Any]] = {
    "Abs": tf.abs,
    "Acos": tf.acos,
    "Acosh": tf.acosh,
    "Asin": tf.asin,
    "Asinh": tf.asinh,
    "Atan": tf.atan,
    "Atanh": tf.atanh,
    "Ceil": tf.math.ceil,
    "Cos": tf.cos,
    "Cosh": tf.cosh,
    "Erf": tf.math.erf,
    "Exp": tf.exp,
    "Floor": tf.floor,
    "Identity": tf.identity,
    "IsNaN": tf.math.is_nan,
    "Log": tf.math.log,
    "Mish": lambda x: x * tf.tanh(tf.math.softplus(x)),
    "Neg": tf.negative,
    "Not": tf.logical_not,
    "Reciprocal": tf.math.reciprocal,
    "Relu": tf.nn.relu,
    "Round": tf.round,
    "Sigmoid": tf.sigmoid,
    "Sign": tf.sign,
    "Sin": tf.sin,
    "Sinh": tf.sinh,
    "Softplus": tf.math.softplus,
    "Softsign": tf.nn.softsign,
    "Sqrt": tf.sqrt,
    "Tan": tf.tan,
    "Tanh": tf.tanh,
}
_OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "Add": tf.add,
    "And": tf.logical_and,
    "Equal": tf.equal,
    "Greater": tf.greater,
    "GreaterOrEqual": tf.greater_equal,
    "Less": tf.less,
    "LessOrEqual": tf.less_equal,
    "Mul": tf.multiply,
    "Or": tf.logical_or,
    "Pow": lambda x, y: tf.pow(x, tf.cast(y, x.dtype)),
    "Sub": tf.subtract,
    "Xor": tf.math.logical_xor,
}
_OF_MANY: dict[str, Callable[[Any, Any], Any]] = {"Max": tf.maximum, "Min": tf.minimum, "Sum": tf.add}


def _register_tables() -> None:
    for name, one in _OF_ONE.items():
        OPERATORS["", name] = lambda call, one=one: one(call[0])  # type: ignore[misc]
    for name, two in _OF_TWO.items():
        OPERATORS["", name] = lambda call, two=two: two(call[0], call[1])  # type: ignore[misc]
    for name, many in _OF_MANY.items():
        OPERATORS["", name] = lambda call, many=many: reduce(many, call.all())  # type: ignore[misc]


_register_tables()


@operator("Mean")
def mean(call: NodeCall) -> Any:
    """The mean of several tensors."""
    return reduce(tf.add, call.all()) / len(call.inputs)


@operator("Div")
def divide(call: NodeCall) -> Any:
    """Division, of integers towards zero."""
    x = tf.convert_to_tensor(call[0])
    return tf.truncatediv(x, call[1]) if x.dtype.is_integer else tf.divide(x, call[1])


@operator("Mod")
def modulo(call: NodeCall) -> Any:
    """The remainder, with the sign of the divisor or, like C's fmod, of the dividend."""
    return (tf.truncatemod if call.attribute("fmod", 0) else tf.math.floormod)(call[0], call[1])


@operator("Clip")
def clip(call: NodeCall) -> Any:
    """Values held between two bounds."""
    low = call.optional(1, call.attribute("min"))
    high = call.optional(2, call.attribute("max"))
    x = call[0] if low is None else tf.maximum(call[0], low)
    return x if high is None else tf.minimum(x, high)


@operator("Where")
def where(call: NodeCall) -> Any:
    """One of two values."""
    return tf.where(call[0], call[1], call[2])


@operator("IsInf")
def is_infinite(call: NodeCall) -> Any:
    """Whether a value is an infinity, of the signs that count."""
    x, infinite = call[0], tf.math.is_inf(call[0])
    if not call.attribute("detect_positive", 1):
        infinite &= x < 0
    return infinite if call.attribute("detect_negative", 1) else infinite & (x > 0)


@operator("Dropout")
def dropout(call: NodeCall) -> Any:
    """Nothing: it acts in training alone. Raises ConversionError for one that is in training."""
    if call.has(2) and call.static(2).any():
        raise call.refuse("is in training mode: convert the model in evaluation mode")
    return tf.identity(call[0]), tf.ones(tf.shape(call[0]), tf.bool)


@operator("Cast", "CastLike")
def cast(call: NodeCall) -> Any:
    """Another element type. Raises ConversionError for texts of floats, which look different elsewhere."""
    x = tf.convert_to_tensor(call[0])
    if call.node.op_type == "CastLike":
        wanted = tf.convert_to_tensor(call[1]).dtype
    else:
        kind = call.attribute("to")
        textual = kind == onnx.TensorProto.STRING
        wanted = tf.string if textual else tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    if x.dtype == wanted:
        return tf.identity(x)
    if wanted == tf.string:
        if x.dtype.is_floating:
            raise call.refuse("writes numbers as texts, which TensorFlow would write otherwise")
        return tf.strings.as_string(x)
    if x.dtype == tf.string:
        return tf.cast(tf.strings.to_number(x, tf.float64), wanted)
    return tf.cast(x, wanted)


@operator("Elu", "Selu", "Celu", "LeakyRelu", "ThresholdedRelu")
def rectifier(call: NodeCall) -> Any:
    """Rectifiers with one parameter."""
    x = call[0]
    match call.node.op_type:
        case "LeakyRelu":
            return tf.nn.leaky_relu(x, call.attribute("alpha", 0.01))
        case "ThresholdedRelu":
            return tf.where(x > call.attribute("alpha", 1.0), x, tf.zeros_like(x))
        case "Celu":
            alpha = call.attribute("alpha", 1.0)
            return tf.maximum(x, 0) + tf.minimum(alpha * tf.math.expm1(x / alpha), 0)
        case "Selu":
            alpha, gamma = call.attribute("alpha", 1.67326319), call.attribute("gamma", 1.05070102)
            return gamma * tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0)))
    return tf.where(x > 0, x, call.attribute("alpha", 1.0) * tf.math.expm1(tf.minimum(x, 0)))


@operator("PRelu")
def parametric_relu(call: NodeCall) -> Any:
    """A rectifier whose slope is learned."""
    return tf.where(call[0] >= 0, call[0], call[0] * call[1])


@operator("HardSigmoid", "HardSwish")
def hard_activation(call: NodeCall) -> Any:
    """Straight lines in place of a sigmoid."""
    x, swish = call[0], call.node.op_type == "HardSwish"
    slope, offset = (1 / 6, 0.5) if swish else (call.attribute("alpha", 0.2), call.attribute("beta", 0.5))
    gate = tf.clip_by_value(slope * x + offset, 0, 1)
    return x * gate if swish else gate


@operator("Gelu")
def gelu(call: NodeCall) -> Any:
    """Gaussian error linear unit."""
    return tf.nn.gelu(call[0], approximate=call.attribute("approximate", "none") == "tanh")


@operator("MatMul")
def matmul(call: NodeCall) -> Any:
    """The matrix product, of vectors as well."""
    return product(call[0], call[1])


def product(x: Any, y: Any) -> Any:
    """Numpy's matmul."""
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    row, column = x.shape.rank == 1, y.shape.rank == 1
    answer = tf.matmul(x[None, :] if row else x, y[:, None] if column else y)
    if column:
        answer = answer[..., 0]
    return answer[..., 0, :] if row and not column else answer[..., 0] if row else answer


@operator("Gemm")
def gemm(call: NodeCall) -> Any:
    """Alpha * A @ B + beta * C."""
    answer = scaled_product(call)
    return answer + scaled(call[2], call.attribute("beta", 1.0)) if call.has(2) else answer


def scaled_product(call: NodeCall) -> Any:
    """Alpha * A @ B, with A and B transposed where the node says so."""
    answer = tf.matmul(
        call[0],
        call[1],
        transpose_a=bool(call.attribute("transA", 0)),
        transpose_b=bool(call.attribute("transB", 0)),
    )
    return scaled(answer, call.attribute("alpha", 1.0))


def scaled(x: Any, factor: float) -> Any:
    """`factor * x`, without a product where it is 1."""
    return x if factor == 1 else x * np.asarray(factor, dtype=tf.as_dtype(x.dtype).as_numpy_dtype)


@operator("Einsum")
def einsum(call: NodeCall) -> Any:
    """Einstein's summation."""
    return tf.einsum(call.attribute("equation"), *call.all())
