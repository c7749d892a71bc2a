"""Operators that move values without changing them: shapes, orders, pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator, shape_of

_FAR = 2**31 - 1
"""Slices beyond this mean `to the end`."""


@operator("Constant")
def constant(call: NodeCall) -> Any:
    """A value of the graph itself."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        value = call.attribute(name)
        if value is not None:
            kind = None if name == "value" else np.float32 if "float" in name else np.int64
            return np.asarray(value, dtype=kind)
    raise call.refuse("holds a value of a kind that is not translated")


@operator("ConstantOfShape")
def constant_of_shape(call: NodeCall) -> Any:
    """One value, repeated."""
    value = call.attribute("value", np.zeros(1, np.float32))
    return tf.fill(tf.cast(call[0], tf.int64), value.reshape(-1)[0])


@operator("Shape")
def shape(call: NodeCall) -> Any:
    """The sizes; a constant where all are known."""
    tensor = tf.convert_to_tensor(call[0])
    piece = slice(call.attribute("start", 0), call.attribute("end"))
    known = tensor.shape[piece]
    if known.is_fully_defined():
        return np.array(known.as_list(), dtype=np.int64)
    return tf.shape(tensor, tf.int64)[piece]


@operator("Size")
def size(call: NodeCall) -> Any:
    """How many values there are; a constant where that is known."""
    count = tf.convert_to_tensor(call[0]).shape.num_elements()
    return tf.size(call[0], tf.int64) if count is None else np.array(count, dtype=np.int64)


@operator("Reshape")
def reshape(call: NodeCall) -> Any:
    """Other sizes; 0 keeps one, -1 takes what is left."""
    x, wanted = call[0], call.inputs[1]
    known = wanted if isinstance(wanted, np.ndarray) else tf.get_static_value(wanted)
    if call.attribute("allowzero", 0):
        return tf.reshape(x, wanted)
    if known is None:
        sizes, count = tf.shape(x, tf.int64), tf.size(wanted)
        kept = tf.pad(sizes, [[0, tf.maximum(count - tf.size(sizes), 0)]])[:count]
        return tf.reshape(x, tf.where(wanted == 0, kept, wanted))
    sizes = shape_of(x)
    return tf.reshape(x, [sizes[axis] if size == 0 else int(size) for axis, size in enumerate(known)])


@operator("Flatten")
def flatten(call: NodeCall) -> Any:
    """Two dimensions in place of many."""
    axis = call.attribute("axis", 1)
    if axis == 1:
        sizes = tf.convert_to_tensor(call[0]).shape[1:]
        if sizes.is_fully_defined():
            return tf.reshape(call[0], [-1, sizes.num_elements()])
    sizes = tf.shape(call[0])
    return tf.reshape(call[0], tf.stack([tf.reduce_prod(sizes[:axis]), tf.reduce_prod(sizes[axis:])]))


@operator("Squeeze")
def squeeze(call: NodeCall) -> Any:
    """Without dimensions of one."""
    return tf.squeeze(call[0], call.integers(1, "axes"))


@operator("Unsqueeze")
def unsqueeze(call: NodeCall) -> Any:
    """With further dimensions of one."""
    x, axes = tf.convert_to_tensor(call[0]), call.integers(1, "axes") or []
    if x.shape.rank is None:
        return _unsqueeze_any(x, axes)
    rank = call.rank() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = tf.expand_dims(x, axis)
    return x


def _unsqueeze_any(x: Any, axes: list[int]) -> Any:
    """The same where the rank depends on the data, as that of a branch does whose other side has another one."""
    sizes = tf.shape(x)
    rank = tf.size(sizes) + len(axes)
    places = tf.sort(tf.stack([tf.constant(axis) if axis >= 0 else rank + axis for axis in axes]))
    for place in tf.unstack(places, len(axes)):
        sizes = tf.concat([sizes[:place], [1], sizes[place:]], 0)
    return tf.reshape(x, sizes)


@operator("Transpose")
def transpose(call: NodeCall) -> Any:
    """The dimensions in another order."""
    return tf.transpose(call[0], call.attribute("perm"))


@operator("Concat")
def concat(call: NodeCall) -> Any:
    """Tensors one after the other."""
    return tf.concat(call.all(), call.attribute("axis"))


@operator("Split")
def split(call: NodeCall) -> Any:
    """A tensor in pieces."""
    axis, sizes = call.attribute("axis", 0), call.integers(1, "split")
    if sizes is not None:
        return tuple(tf.split(call[0], sizes, axis))
    pieces, whole = len(call.node.output), tf.convert_to_tensor(call[0]).shape[axis]
    if whole is None or whole % pieces == 0:
        return tuple(tf.split(call[0], pieces, axis))
    size = -(-whole // pieces)
    return tuple(tf.split(call[0], [size] * (pieces - 1) + [whole - size * (pieces - 1)], axis))


@operator("Slice")
def cut(call: NodeCall) -> Any:
    """A piece of a tensor."""
    starts, ends = _bounds(call, 1, "starts"), _bounds(call, 2, "ends")
    axes = call.integers(3, "axes") or list(range(len(starts)))
    steps = [int(step) for step in call.static(4).reshape(-1)] if call.has(4) else [1] * len(starts)
    pieces: list[Any] = [slice(None)] * call.rank()
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        pieces[axis] = slice(start, end, step)
    return tf.convert_to_tensor(call[0])[tuple(pieces)]


def _bounds(call: NodeCall, index: int, attribute: str) -> list[Any]:
    """Bounds as numbers, None for `to the end`, or scalar tensors."""
    if not call.has(index):
        values: Any = call.attribute(attribute)
    else:
        given = call.inputs[index]
        values = given if isinstance(given, np.ndarray) else tf.get_static_value(given)
        if values is None:
            bounds = tf.cast(tf.clip_by_value(tf.cast(given, tf.int64), -_FAR, _FAR), tf.int32)
            return tf.unstack(bounds)  # type: ignore[no-any-return]
    return [None if abs(int(value)) >= _FAR else int(value) for value in values]


@operator("Expand")
def expand(call: NodeCall) -> Any:
    """Repeated along dimensions of one, as broadcasting does."""
    wanted = tf.cast(call[1], tf.int32)
    return tf.broadcast_to(call[0], tf.broadcast_dynamic_shape(tf.shape(call[0]), wanted))


@operator("Tile")
def tile(call: NodeCall) -> Any:
    """Repeated."""
    return tf.tile(call[0], call[1])


@operator("Pad")
def pad(call: NodeCall) -> Any:
    """With something around it."""
    rank, mode = call.rank(), call.attribute("mode", "constant")
    axes = [axis % rank for axis in (call.integers(3, "axes") or range(rank))]
    pads = call.numbers(1, 2 * len(axes)) if call.has(1) else call.attribute("pads", [])
    around: list[list[Any]] = [[0, 0] for _ in range(rank)]
    for position, axis in enumerate(axes):
        around[axis] = [pads[position], pads[position + len(axes)]]
    known = [size for size in pads if isinstance(size, int)]
    x = tf.convert_to_tensor(call[0])
    if mode in {"edge", "wrap"}:
        return _pad_from_within(x, around, wrap=mode == "wrap")
    if min(known, default=0) < 0:
        raise call.refuse(f"pads by a negative size ({mode}, {known}), which is not translated")
    if len(known) < len(pads):
        around = tf.cast(tf.stack([tf.stack(list(map(_as_int64, pair))) for pair in around]), tf.int32)
    if mode == "reflect":
        return tf.pad(x, around, "REFLECT")
    value = tf.cast(call.optional(2, call.attribute("value", 0)), x.dtype)
    return tf.pad(x, around, constant_values=tf.reshape(value, []))


def _pad_from_within(x: Any, around: list[list[Any]], *, wrap: bool) -> Any:
    """With its first and last values around it, or what stands at its other end."""
    for axis, (before, after) in enumerate(around):
        if isinstance(before, int) and isinstance(after, int) and not before and not after:
            continue
        size = tf.shape(x, tf.int64)[axis]
        places = tf.range(-_as_int64(before), size + _as_int64(after))
        x = tf.gather(x, places % size if wrap else tf.clip_by_value(places, 0, size - 1), axis=axis)
    return x


def _as_int64(size: Any) -> Any:
    return tf.cast(size, tf.int64)


@operator("Range")
def numbers(call: NodeCall) -> Any:
    """Numbers at equal distances."""
    return tf.range(*(tf.reshape(bound, []) for bound in call.all()))


@operator("Trilu")
def triangle(call: NodeCall) -> Any:
    """One triangle of a matrix, zeros in the other."""
    x, offset = tf.convert_to_tensor(call[0]), int(call.static(1)) if call.has(1) else 0
    rows, columns = tf.shape(x)[-2], tf.shape(x)[-1]
    distance = tf.range(columns)[None, :] - tf.range(rows)[:, None]
    kept = distance >= offset if call.attribute("upper", 1) else distance <= offset
    return tf.where(kept, x, tf.zeros_like(x))


@operator("DepthToSpace", "SpaceToDepth")
def blocks(call: NodeCall) -> Any:
    """Channels for pixels, or pixels for channels."""
    n, c, h, w = shape_of(call[0])
    b = call.attribute("blocksize")
    if call.node.op_type == "SpaceToDepth":
        order = [0, 1, 3, 5, 2, 4] if call.attribute("mode", "DCR") == "CRD" else [0, 3, 5, 1, 2, 4]
        x = tf.transpose(tf.reshape(call[0], [n, c, h // b, b, w // b, b]), order)
        return tf.reshape(x, [n, c * b * b, h // b, w // b])
    if call.attribute("mode", "DCR") == "CRD":
        x = tf.transpose(tf.reshape(call[0], [n, c // (b * b), b, b, h, w]), [0, 1, 4, 2, 5, 3])
    else:
        x = tf.transpose(tf.reshape(call[0], [n, b, b, c // (b * b), h, w]), [0, 3, 4, 1, 5, 2])
    return tf.reshape(x, [n, c // (b * b), h * b, w * b])
