"""Operators that pick or place values by their position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator, shape_of

_PLACING: dict[str, Callable[..., Any]] = {
    "none": tf.tensor_scatter_nd_update,
    "add": tf.tensor_scatter_nd_add,
    "max": tf.tensor_scatter_nd_max,
    "min": tf.tensor_scatter_nd_min,
}


@operator("Gather")
def gather(call: NodeCall) -> Any:
    """Slices along an axis; negative positions count from the end."""
    axis = call.attribute("axis", 0)
    return tf.gather(call[0], positions(call, call[1], axis), axis=axis)


def positions(call: NodeCall, indices: Any, axis: int) -> Any:
    """The indices, none of them negative."""
    if isinstance(indices, np.ndarray) and (indices >= 0).all():
        return indices
    length = tf.shape(call[0])[axis]
    indices = tf.convert_to_tensor(indices)
    return tf.where(indices < 0, indices + tf.cast(length, indices.dtype), indices)


@operator("GatherElements")
def gather_elements(call: NodeCall) -> Any:
    """Values along an axis, at other positions in every row."""
    rank = call.rank()
    axis = call.attribute("axis", 0) % rank
    order = [index for index in range(rank) if index != axis] + [axis]
    indices = tf.transpose(positions(call, call[1], axis), order)
    index = tf.gather(tf.transpose(call[0], order), indices, batch_dims=rank - 1)
    return tf.transpose(index, [order.index(index) for index in range(rank)])


@operator("GatherND")
def gather_nd(call: NodeCall) -> Any:
    """Slices at positions of several dimensions."""
    return tf.gather_nd(call[0], call[1], batch_dims=call.attribute("batch_dims", 0))


@operator("ScatterND")
def scatter_nd(call: NodeCall) -> Any:
    """A tensor with some of its slices replaced."""
    reduction = call.attribute("reduction", "none")
    if reduction not in _PLACING:
        raise call.refuse(f"combines what it places by {reduction!r}, which is not translated")
    return _PLACING[reduction](call[0], call[1], call[2])


@operator("ScatterElements", "Scatter")
def scatter_elements(call: NodeCall) -> Any:
    """A tensor with some values replaced, along an axis and at other positions in every row."""
    reduction = call.attribute("reduction", "none")
    if reduction not in _PLACING:
        raise call.refuse(f"combines what it places by {reduction!r}, which is not translated")
    x, rank = tf.convert_to_tensor(call[0]), call.rank()
    axis = call.attribute("axis", 0) % rank
    chosen = tf.convert_to_tensor(positions(call, call[1], axis))
    grid = tf.meshgrid(*(tf.range(size) for size in shape_of(chosen)), indexing="ij")
    grid[axis] = tf.cast(chosen, tf.int32)
    return _PLACING[reduction](x, tf.stack(grid, -1), call[2])


@operator("OneHot")
def one_hot(call: NodeCall) -> Any:
    """One value at a position, another one elsewhere."""
    depth = tf.reshape(tf.cast(call[1], tf.int32), [])
    indices = tf.cast(call[0], tf.int64)
    indices = tf.where(indices < 0, indices + tf.cast(depth, tf.int64), indices)
    off, on = tf.unstack(tf.convert_to_tensor(call[2]))
    axis = call.attribute("axis", -1) % (call.rank() + 1)
    return tf.one_hot(indices, depth, on, off, axis=axis, dtype=on.dtype)


@operator("NonZero")
def non_zero(call: NodeCall) -> Any:
    """The positions of what is not zero."""
    return tf.transpose(tf.where(tf.cast(call[0], tf.bool)))


@operator("Compress")
def compress(call: NodeCall) -> Any:
    """Slices that a condition picks."""
    axis = call.attribute("axis")
    x = tf.reshape(call[0], [-1]) if axis is None else call[0]
    chosen = tf.reshape(tf.where(call[1]), [-1])
    return tf.gather(x, chosen, axis=axis or 0)
