"""Operators that change the size of images."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator, shape_of


class _Axis(NamedTuple):
    """One axis that changes: sizes and scale are numbers, or tensors where they depend on the data."""

    number: int
    size: Any
    wanted: Any
    scale: Any


@operator("Resize", "Upsample")
def resize(call: NodeCall) -> Any:
    """Axis by axis, to the nearest pixel or between the two nearest."""
    x, mode = tf.convert_to_tensor(call[0]), call.attribute("mode", "nearest")
    if mode not in {"nearest", "linear"} or call.attribute("antialias", 0):
        raise call.refuse(f"resizes in the mode {mode!r}, or against aliases, which is not translated")
    rank = call.rank()
    for axis in _changed_axes(call, shape_of(x)):
        places = _places(call, axis)
        last = tf.cast(axis.size, tf.int64) - 1
        if mode == "nearest":
            nearest = tf.cast(_rounded(call, places), tf.int64)
            x = tf.gather(x, tf.clip_by_value(nearest, 0, last), axis=axis.number)
            continue
        places = tf.clip_by_value(places, 0, tf.cast(last, tf.float64))
        low = tf.cast(tf.floor(places), tf.int64)
        share = tf.cast(places - tf.floor(places), x.dtype)
        share = tf.reshape(share, [-1] + [1] * (rank - 1 - axis.number))
        first, second = tf.gather(x, low, axis=axis.number), tf.gather(x, tf.minimum(low + 1, last), axis=axis.number)
        x = first * (1 - share) + second * share
    return x


def _changed_axes(call: NodeCall, sizes: list[Any]) -> list[_Axis]:
    """The axes that get another size, or may get one."""
    older = call.node.op_type == "Upsample" or call.opset < 11  # noqa: PLR2004 - where an input was put in between
    axes = [axis % len(sizes) for axis in call.attribute("axes", list(range(len(sizes))))]
    if call.has(3):
        if call.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise call.refuse("keeps the proportions of images, which is not translated")
        wanted = call.numbers(3, len(axes))
        listed = [
            _Axis(axis, sizes[axis], new, _ratio(new, sizes[axis])) for axis, new in zip(axes, wanted, strict=True)
        ]
    else:
        index = 1 if older else 2
        scales = call.numbers(index, len(axes)) if call.has(index) else call.attribute("scales")
        listed = [
            _Axis(axis, sizes[axis], _scaled(sizes[axis], scale), scale)
            for axis, scale in zip(axes, scales, strict=True)
        ]
    return [axis for axis in listed if not isinstance(axis.scale, float | int) or axis.scale != 1]


def _ratio(new: Any, old: Any) -> Any:
    if isinstance(new, int) and isinstance(old, int):
        return new / old
    return tf.cast(new, tf.float64) / tf.cast(old, tf.float64)


def _scaled(size: Any, scale: Any) -> Any:
    if isinstance(size, int) and isinstance(scale, float | int):
        return int(size * scale)
    return tf.cast(tf.floor(tf.cast(size, tf.float64) * tf.cast(scale, tf.float64)), tf.int64)


def _places(call: NodeCall, axis: _Axis) -> Any:
    """Where each new pixel lies among the old ones."""
    count, scale = tf.cast(axis.wanted, tf.float64), tf.cast(axis.scale, tf.float64)
    new = tf.range(axis.wanted)
    new = tf.cast(new, tf.float64)
    mode = call.attribute("coordinate_transformation_mode", "half_pixel" if call.opset > 10 else "asymmetric")  # noqa: PLR2004
    match mode:
        case "asymmetric":
            return new / scale
        case "align_corners":
            return new * (tf.cast(axis.size, tf.float64) - 1) / tf.maximum(count - 1, 1)
        case "half_pixel":
            return (new + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return tf.where(count > 1, (new + 0.5) / scale - 0.5, 0)
    raise call.refuse(f"places pixels in the mode {mode!r}, which is not translated")


def _rounded(call: NodeCall, places: Any) -> Any:
    older = call.opset < 11 or call.node.op_type == "Upsample"  # noqa: PLR2004
    match call.attribute("nearest_mode", "floor" if older else "round_prefer_floor"):
        case "floor":
            return tf.floor(places)
        case "ceil":
            return tf.math.ceil(places)
        case "round_prefer_ceil":
            return tf.floor(places + 0.5)
        case _:
            return tf.math.ceil(places - 0.5)
