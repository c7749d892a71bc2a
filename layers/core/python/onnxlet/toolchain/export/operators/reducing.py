"""Operators that reduce dimensions, or look along one: sums, extremes, softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": lambda x, axis, keepdims: tf.reduce_sum(tf.abs(x), axis, keepdims),
    "ReduceL2": lambda x, axis, keepdims: tf.sqrt(tf.reduce_sum(x * x, axis, keepdims)),
    "ReduceLogSum": lambda x, axis, keepdims: tf.math.log(tf.reduce_sum(x, axis, keepdims)),
    "ReduceLogSumExp": tf.reduce_logsumexp,
    "ReduceMax": tf.reduce_max,
    "ReduceMean": tf.reduce_mean,
    "ReduceMin": tf.reduce_min,
    "ReduceProd": tf.reduce_prod,
    "ReduceSum": tf.reduce_sum,
    "ReduceSumSquare": lambda x, axis, keepdims: tf.reduce_sum(x * x, axis, keepdims),
}
_AXES_BY_INPUT = 13


@operator(*_REDUCTIONS)
def reduction(call: NodeCall) -> Any:
    """One number in place of many, along some axes or all."""
    axes = call.integers(1, "axes") or None
    if axes is None and call.attribute("noop_with_empty_axes", 0):
        return tf.identity(call[0])
    x, keepdims = tf.convert_to_tensor(call[0]), bool(call.attribute("keepdims", 1))
    if x.dtype == tf.bool:
        return (tf.reduce_any if call.node.op_type == "ReduceMax" else tf.reduce_all)(x, axes, keepdims)
    return _REDUCTIONS[call.node.op_type](x, axes, keepdims)


@operator("ArgMax", "ArgMin")
def arg_extreme(call: NodeCall) -> Any:
    """Where the extreme lies: the first one, or the last."""
    x, axis = call[0], call.attribute("axis", 0)
    find = tf.argmax if call.node.op_type == "ArgMax" else tf.argmin
    if call.attribute("select_last_index", 0):
        last = tf.shape(x, tf.int64)[axis] - 1
        index = last - find(tf.reverse(x, [axis]), axis)
    else:
        index = find(x, axis)
    return tf.expand_dims(index, axis) if call.attribute("keepdims", 1) else index


@operator("CumSum")
def cumulative(call: NodeCall) -> Any:
    """Running sums."""
    return tf.cumsum(
        call[0],
        int(call.static(1)),
        exclusive=bool(call.attribute("exclusive", 0)),
        reverse=bool(call.attribute("reverse", 0)),
    )


@operator("TopK")
def top_k(call: NodeCall) -> Any:
    """The largest or smallest values along an axis, and where they lie."""
    axis = call.attribute("axis", -1) % call.rank()
    order = [index for index in range(call.rank()) if index != axis] + [axis]
    back = [order.index(index) for index in range(call.rank())]
    sign = 1 if call.attribute("largest", 1) else -1
    count = tf.reshape(tf.cast(call[1], tf.int32), [])
    values, indices = tf.math.top_k(sign * tf.transpose(call[0], order), count)
    return sign * tf.transpose(values, back), tf.cast(tf.transpose(indices, back), tf.int64)


@operator("Softmax", "LogSoftmax", "Hardmax")
def softmax(call: NodeCall) -> Any:
    """Shares along an axis; up to operator set 12 along all axes from it on."""
    x, older = call[0], call.opset < _AXES_BY_INPUT
    axis = call.attribute("axis", 1 if older else -1)
    if older and axis % call.rank() != call.rank() - 1:
        shape = tf.shape(x)
        flat = tf.reshape(x, tf.stack([tf.reduce_prod(shape[:axis]), tf.reduce_prod(shape[axis:])]))
        return tf.reshape(_shares(call, flat, -1), shape)
    return _shares(call, x, axis)


def _shares(call: NodeCall, x: Any, axis: int) -> Any:
    match call.node.op_type:
        case "LogSoftmax":
            return tf.nn.log_softmax(x, axis)
        case "Hardmax":
            return tf.one_hot(tf.argmax(x, axis), tf.shape(x)[axis], axis=axis, dtype=x.dtype)
    return tf.nn.softmax(x, axis)
