"""Operators that bring values to one scale."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from onnxlet.toolchain.export.operators.call import MICROSOFT, NodeCall, operator, shape_of


@operator("BatchNormalization")
def batch(call: NodeCall) -> Any:
    """By mean and variance as they were learned. Raises ConversionError for one that is in training."""
    if call.attribute("training_mode", 0):
        raise call.refuse("is in training mode: convert the model in evaluation mode")
    shape = [1, -1] + [1] * (call.rank() - 2)
    scale, bias, mean, variance = (tf.reshape(call[index], shape) for index in range(1, 5))
    factor = scale * tf.math.rsqrt(variance + call.attribute("epsilon", 1e-5))
    return call[0] * factor + (bias - mean * factor)


@operator("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization")
def layer(call: NodeCall) -> Any:
    """By each row's own mean and variance, or by its own scale alone; and these two numbers."""
    x, axis = call[0], call.attribute("axis", -1)
    axes = list(range(axis % call.rank(), call.rank()))
    mean = tf.reduce_mean(x, axes, keepdims=True) if call.node.op_type == "LayerNormalization" else tf.zeros_like(x)
    factor = _inverse_deviation(x - mean, axes, call.attribute("epsilon", 1e-5))
    answer = (x - mean) * factor * call[1]
    return answer + call[2] if call.has(2) else answer, mean, factor


def normalized(x: Any, axes: list[int], epsilon: float) -> Any:
    """With a mean of 0 and a variance of 1."""
    centred = x - tf.reduce_mean(x, axes, keepdims=True)
    return centred * _inverse_deviation(centred, axes, epsilon)


def _inverse_deviation(x: Any, axes: list[int], epsilon: float) -> Any:
    return tf.math.rsqrt(tf.reduce_mean(x * x, axes, keepdims=True) + epsilon)


@operator("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer(call: NodeCall) -> Any:
    """A sum, and its layer normalization."""
    total = call[0] + call[1]
    if call.has(4):
        total += call[4]
    answer = normalized(total, [call.rank() - 1], call.attribute("epsilon", 1e-12)) * call[2]
    answer = answer + call[3] if call.has(3) else answer
    return answer, None, None, total


@operator("InstanceNormalization", "GroupNormalization")
def groups(call: NodeCall) -> Any:
    """By the mean and variance of each image's channels, one by one or in groups."""
    x, sizes = tf.convert_to_tensor(call[0]), shape_of(call[0])
    epsilon, shape = call.attribute("epsilon", 1e-5), [1, -1] + [1] * (call.rank() - 2)
    if call.node.op_type == "InstanceNormalization":
        answer = normalized(x, list(range(2, call.rank())), epsilon)
    else:
        if call.opset < 21:  # noqa: PLR2004 - where its weights changed their meaning
            raise call.refuse("is that of an operator set before 21; convert the model with a newer one")
        grouped = tf.reshape(x, [sizes[0], call.attribute("num_groups"), -1])
        answer = tf.reshape(normalized(grouped, [2], epsilon), sizes)
    return answer * tf.reshape(call[1], shape) + tf.reshape(call[2], shape)


@operator("LpNormalization")
def norm(call: NodeCall) -> Any:
    """By the length along an axis."""
    x, axis = call[0], call.attribute("axis", -1)
    if call.attribute("p", 2) == 1:
        return tf.math.divide_no_nan(x, tf.reduce_sum(tf.abs(x), axis, keepdims=True))
    return tf.math.divide_no_nan(x, tf.sqrt(tf.reduce_sum(x * x, axis, keepdims=True)))
