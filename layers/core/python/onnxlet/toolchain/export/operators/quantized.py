"""Operators on 8-bit integers. They are computed with the same roundings, though not with the same speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.toolchain.export.operators.arithmetic import product
from onnxlet.toolchain.export.operators.call import MICROSOFT, NodeCall, operator
from onnxlet.toolchain.export.operators.convolution import convolve
from onnxlet.values.tensors import Tensor


@operator("DynamicQuantizeLinear")
def quantize_dynamically(call: NodeCall) -> Any:
    """Unsigned 8 bits on a scale that covers the values and zero."""
    return quantized_by_range(call[0])


def quantized_by_range(x: Any) -> tuple[Any, Any, Any]:
    """The values as uint8, the scale and the zero point."""
    low, high = tf.minimum(tf.reduce_min(x), 0), tf.maximum(tf.reduce_max(x), 0)
    scale = (high - low) / 255
    safe = tf.where(scale == 0, tf.ones_like(scale), scale)
    zero = tf.clip_by_value(tf.round(-low / safe), 0, 255)
    values = tf.clip_by_value(tf.round(x / safe) + zero, 0, 255)
    return tf.cast(values, tf.uint8), scale, tf.cast(zero, tf.uint8)


@operator("QuantizeLinear")
@operator("QuantizeLinear", domain=MICROSOFT)
def quantize(call: NodeCall) -> Any:
    """Integers on a given scale."""
    kind = tf.convert_to_tensor(call[2]).dtype if call.has(2) else tf.uint8
    return quantize_to(
        call[0],
        _broadcast_along_axis(call, call[1]),
        _broadcast_along_axis(call, call.optional(2, tf.constant(0, kind))),
    )


@operator("DequantizeLinear")
@operator("DequantizeLinear", domain=MICROSOFT)
def dequantize(call: NodeCall) -> Any:
    """The numbers that integers stand for."""
    return dequantize_from(
        call[0], _broadcast_along_axis(call, call[1]), _broadcast_along_axis(call, call[2]) if call.has(2) else 0
    )


def quantize_to(x: Any, scale: Any, zero: Any) -> Any:
    """Numbers as integers of the zero point's type."""
    kind = tf.convert_to_tensor(zero).dtype
    values = tf.round(x / scale) + tf.cast(zero, x.dtype)
    return tf.cast(tf.clip_by_value(values, float(kind.min), float(kind.max)), kind)


def dequantize_from(x: Any, scale: Any, zero: Any) -> Any:
    """Integers as numbers."""
    scale = tf.convert_to_tensor(scale)
    return tf.cast(tf.cast(x, tf.int32) - tf.cast(zero, tf.int32), scale.dtype) * scale


def _broadcast_along_axis(call: NodeCall, value: Any) -> Any:
    """One value, one per slice of the axis, or one per block of it, such that it broadcasts."""
    value, block = tf.convert_to_tensor(value), call.attribute("block_size", 0)
    if block:
        axis = call.attribute("axis", 1) % call.rank()
        repeated = tf.repeat(value, block, axis)
        return tf.slice(repeated, [0] * call.rank(), tf.shape(call[0]))
    if value.shape.num_elements() == 1:
        return tf.reshape(value, [])
    rank = call.rank()
    axis = call.attribute("axis", 1) % rank
    return tf.reshape(value, [-1 if index == axis else 1 for index in range(rank)])


def _columns(value: Any, rank: int) -> Any:
    """One value, or one per column of a matrix, or per row of the left one as it came."""
    value = tf.convert_to_tensor(value)
    return value if value.shape.rank in (0, rank) else tf.reshape(value, [-1])


def _integer_product(x: Any, y: Any, x_zero: Any, y_zero: Any) -> Any:
    """The product of two matrices of integers, in 32 bits."""
    left = tf.cast(x, tf.int32) - tf.cast(x_zero, tf.int32)
    right = tf.cast(y, tf.int32) - tf.cast(y_zero, tf.int32)
    return product(left, right)


@operator("MatMulInteger")
def matmul(call: NodeCall) -> Any:
    """The product of two matrices of integers."""
    return _integer_product(call[0], call[1], call.optional(2, 0), call.optional(3, 0))


@operator("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_to_float(call: NodeCall) -> Any:
    """The product of two matrices of integers, as numbers, and a bias."""
    answer = tf.cast(_integer_product(call[0], call[1], call.optional(4, 0), call.optional(5, 0)), tf.float32)
    answer *= call[2] * call[3]
    return answer + call[6] if call.has(6) else answer


@operator("DynamicQuantizeMatMul", domain=MICROSOFT)
def matmul_of_numbers(call: NodeCall) -> Any:
    """The same for numbers that are quantized as they come."""
    values, scale, zero = quantized_by_range(call[0])
    answer = tf.cast(_integer_product(values, call[1], zero, call.optional(3, 0)), tf.float32) * (scale * call[2])
    return answer + call[4] if call.has(4) else answer


@operator("MatMulNBits", domain=MICROSOFT)
def matmul_in_blocks(call: NodeCall) -> Any:
    """The product with a weight of 4 or 8 bits whose columns have a scale per block. The weight is kept as numbers."""
    bits, block = call.attribute("bits", 4), call.attribute("block_size")
    inner, columns = call.attribute("K"), call.attribute("N")
    if bits not in (4, 8) or call.has(4):
        raise call.refuse(f"has weights of {bits} bits, or in another order, which are not translated")
    integers = _unpacked(call.static(1), bits).reshape(columns, -1, block).astype(np.float32)
    blocks = integers.shape[1]
    middle = np.full((columns, blocks), 2 ** (bits - 1))
    zeros = _unpacked(call.static(3).reshape(columns, -1), bits)[:, :blocks] if call.has(3) else middle
    weight = (integers - zeros[..., None]) * call.static(2).reshape(columns, blocks, 1)
    weight = weight.reshape(columns, -1)[:, :inner].T.astype(np.float32)
    x = _in_blocks(call[0], inner, block) if call.attribute("accuracy_level", 0) == _INTEGERS else call[0]
    answer = product(x, call.stored(f"{call.node.input[1]} as numbers", np.ascontiguousarray(weight)))
    return answer + call[5] if call.has(5) else answer


_INTEGERS = 4
"""The accuracy level at which ONNX Runtime quantizes what it multiplies with."""


def _unpacked(packed: Tensor, bits: int) -> Tensor:
    """Integers of 4 bits, the lower half of each byte first."""
    if bits == 8 or packed.dtype != np.uint8:  # noqa: PLR2004 - one to a byte
        return packed
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)


def _in_blocks(x: Any, inner: int, block: int) -> Any:
    """Numbers as they are after each block of them was rounded to 8 bits."""
    spare = -inner % block
    sizes = tf.shape(x)
    padded = tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, spare]])
    parts = tf.reshape(padded, tf.concat([sizes[:-1], [(inner + spare) // block, block]], 0))
    scale = tf.reduce_max(tf.abs(parts), -1, keepdims=True) / 127
    rounded = tf.round(tf.math.divide_no_nan(parts, scale)) * scale
    return tf.reshape(rounded, tf.concat([sizes[:-1], [inner + spare]], 0))[..., :inner]


@operator("QLinearMatMul")
def matmul_on_scales(call: NodeCall) -> Any:
    """The product of two quantized matrices, quantized."""
    x, x_scale, x_zero, y, y_scale, y_zero, scale, zero = call.all()
    kind = tf.convert_to_tensor(scale).dtype
    answer = tf.cast(_integer_product(x, y, x_zero, _columns(y_zero, 2)), kind) * (x_scale * _columns(y_scale, 2))
    return quantize_to(answer, scale, zero)


@operator("QGemm", domain=MICROSOFT)
def gemm(call: NodeCall) -> Any:
    """Gemm on quantized matrices; without a scale of its own the answer is a number."""
    x, y = (tf.transpose(call[i]) if call.attribute(name, 0) else call[i] for i, name in ((0, "transA"), (3, "transB")))
    answer = _integer_product(x, y, call[2], _columns(call[5], 2))
    if call.has(6):
        answer += call[6]
    numbers = tf.cast(answer, tf.float32) * (call.attribute("alpha", 1.0) * call[1] * _columns(call[4], 2))
    return quantize_to(numbers, call[7], call[8]) if call.has(7) else numbers


@operator("QLinearConv")
def convolution(call: NodeCall) -> Any:
    """A convolution of a quantized image, quantized. The sums are of whole numbers below 2^24, so floats hold them."""
    x, x_scale, x_zero, weights, w_scale, w_zero, scale, zero = call.all()[:8]
    wide = [-1] + [1] * (call.rank() - 1)
    per_channel = tf.convert_to_tensor(w_zero).shape.num_elements() != 1
    w_zero = tf.reshape(w_zero, wide if per_channel else [])
    image = tf.cast(tf.cast(x, tf.int32) - tf.cast(x_zero, tf.int32), tf.float32)
    kernel = tf.cast(tf.cast(weights, tf.int32) - tf.cast(w_zero, tf.int32), tf.float32)
    channels = [1, -1] + [1] * (call.rank() - 2)
    answer = convolve(call, image, kernel)
    if call.has(8):
        answer += tf.reshape(tf.cast(call[8], tf.float32), channels)
    answer *= x_scale * (tf.reshape(w_scale, channels) if per_channel else tf.reshape(w_scale, []))
    return quantize_to(answer, scale, zero)


_OF_TWO: dict[str, Callable[[Any, Any], Any]] = {"QLinearAdd": tf.add, "QLinearMul": tf.multiply}
_OF_ONE: dict[str, Callable[[NodeCall, Any], Any]] = {
    "QLinearSigmoid": lambda _, x: tf.sigmoid(x),
    "QLinearLeakyRelu": lambda call, x: tf.nn.leaky_relu(x, call.attribute("alpha", 0.01)),
    "QLinearSoftmax": lambda call, x: tf.nn.softmax(x, call.attribute("axis", -1)),
}


@operator(*_OF_TWO, domain=MICROSOFT)
def of_two(call: NodeCall) -> Any:
    """Sums and products of quantized tensors, quantized."""
    x, x_scale, x_zero, y, y_scale, y_zero, scale, zero = call.all()
    return quantize_to(
        _OF_TWO[call.node.op_type](dequantize_from(x, x_scale, x_zero), dequantize_from(y, y_scale, y_zero)),
        scale,
        zero,
    )


@operator(*_OF_ONE, domain=MICROSOFT)
def of_one(call: NodeCall) -> Any:
    """Activations of quantized tensors, quantized."""
    x, x_scale, x_zero, scale, zero = call.all()
    return quantize_to(_OF_ONE[call.node.op_type](call, dequantize_from(x, x_scale, x_zero)), scale, zero)


@operator("QLinearGlobalAveragePool", domain=MICROSOFT)
def mean(call: NodeCall) -> Any:
    """The mean of each channel, quantized."""
    if call.attribute("channels_last", 0):
        raise call.refuse("has channels last, which is not translated")
    x, x_scale, x_zero, scale, zero = call.all()
    numbers = dequantize_from(x, x_scale, x_zero)
    return quantize_to(tf.reduce_mean(numbers, list(range(2, call.rank())), keepdims=True), scale, zero)


@operator("QLinearConcat", domain=MICROSOFT)
def concat(call: NodeCall) -> Any:
    """Quantized tensors of several scales one after the other."""
    scale, zero, *parts = call.all()
    triples: Sequence[Any] = [parts[index : index + 3] for index in range(0, len(parts), 3)]
    return quantize_to(tf.concat([dequantize_from(*triple) for triple in triples], call.attribute("axis")), scale, zero)
