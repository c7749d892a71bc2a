"""Convolutions and pools. Images have their channels first here and last in TensorFlow's kernels for CPUs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator, shape_of


def channels_last(x: Any) -> Any:
    """[N, C, …] as [N, …, C]."""
    rank = x.shape.rank
    return tf.transpose(x, [0, *range(2, rank), 1])


def channels_first(x: Any) -> Any:
    """[N, …, C] as [N, C, …]."""
    rank = x.shape.rank
    return tf.transpose(x, [0, rank - 1, *range(1, rank - 1)])


def _divided_up(size: Any, step: int) -> Any:
    return -(-size // step)


def _at_least(least: Any, size: Any) -> Any:
    """The larger of two sizes, which are numbers, or tensors where they depend on the data."""
    return max(least, size) if isinstance(least, int) and isinstance(size, int) else tf.maximum(least, size)


class Window:
    """A kernel's size, how it moves, and what stands around the image: [before, after] per spatial dimension."""

    def __init__(self, call: NodeCall, image: Any, kernel: list[int]) -> None:
        count = len(kernel)
        self.kernel = kernel
        self.strides: list[int] = call.attribute("strides", [1] * count)
        self.dilations: list[int] = call.attribute("dilations", [1] * count)
        mode = call.attribute("auto_pad", "NOTSET")
        if mode.startswith("SAME") and call.node.op_type != "ConvTranspose":
            self.pads: list[list[Any]] = self._same_padding(image, lower=mode == "SAME_LOWER")
        else:
            pads = call.attribute("pads", [0] * 2 * count) if mode == "NOTSET" else [0] * 2 * count
            self.pads = [[pads[axis], pads[axis + count]] for axis in range(count)]

    def _same_padding(self, image: Any, *, lower: bool) -> list[list[Any]]:
        pads = []
        for axis, size in enumerate(shape_of(image)[2:]):
            span = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            step = self.strides[axis]
            total = _at_least(0, (_divided_up(size, step) - 1) * step + span - size)
            pads.append([total - total // 2, total // 2] if lower else [total // 2, total - total // 2])
        return pads

    def pad_image(self, image: Any, value: float) -> Any:
        """The image with channels last and with the value around it."""
        last = channels_last(image)
        if all(isinstance(size, int) and not size for pair in self.pads for size in pair):
            return last
        return tf.pad(last, [[0, 0], *self.pads, [0, 0]], constant_values=tf.cast(value, last.dtype))


@operator("Conv")
def convolution(call: NodeCall) -> Any:
    """A convolution, in groups or depthwise too."""
    answer = convolve(call, tf.convert_to_tensor(call[0]), tf.convert_to_tensor(call[1]))
    if call.has(2):
        answer += tf.reshape(call[2], [1, -1] + [1] * (call.rank(1) - 2))
    return answer


def convolve(call: NodeCall, x: Any, weights: Any) -> Any:
    """The convolution without its bias."""
    spatial = weights.shape.rank - 2
    x = tf.ensure_shape(x, [None] * (spatial + 2))  # a branch may have left open how many dimensions there are
    window = Window(call, x, weights.shape[2:].as_list())
    image = window.pad_image(x, 0.0)
    kernel = tf.transpose(weights, [*range(2, spatial + 2), 1, 0])
    groups = call.attribute("group", 1)
    if groups == 1:
        return channels_first(_convolved(image, kernel, window))
    if groups == x.shape[1] and spatial == 2 and len(set(window.strides)) == 1:  # noqa: PLR2004 - images
        height, width = window.kernel
        depthwise = tf.transpose(tf.reshape(weights, [groups, -1, height, width]), [2, 3, 0, 1])
        strides = [1, *window.strides, 1]
        return channels_first(tf.nn.depthwise_conv2d(image, depthwise, strides, "VALID", dilations=window.dilations))
    pieces = zip(tf.split(image, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return channels_first(tf.concat([_convolved(piece, part, window) for piece, part in pieces], -1))


def _convolved(image: Any, kernel: Any, window: Window) -> Any:
    return tf.nn.convolution(image, kernel, strides=window.strides, padding="VALID", dilations=window.dilations)


@operator("ConvTranspose")
def transposed_convolution(call: NodeCall) -> Any:
    """What a convolution's gradient does."""
    x, weights = tf.convert_to_tensor(call[0]), tf.convert_to_tensor(call[1])
    window = Window(call, x, weights.shape[2:].as_list())
    spatial = len(window.kernel)
    if set(window.dilations) != {1}:
        raise call.refuse("has dilations, which are not translated")
    sizes, extra = shape_of(x), call.attribute("output_padding", [0] * spatial)
    full = [
        (size - 1) * step + span + more
        for size, step, span, more in zip(sizes[2:], window.strides, window.kernel, extra, strict=True)
    ]
    kernel = tf.transpose(weights, [*range(2, spatial + 2), 1, 0])
    shape = tf.stack([sizes[0], *full, weights.shape[1]])
    groups = call.attribute("group", 1)
    parts = zip(tf.split(channels_last(x), groups, -1), tf.split(kernel, groups, -1), strict=True)
    parts_made = [tf.nn.conv_transpose(image, part, shape, window.strides, "VALID") for image, part in parts]
    pieces = [slice(start, end) for start, end in _wanted_ranges(call, window, sizes[2:], full)]
    answer = channels_first(tf.concat(parts_made, -1))[(slice(None), slice(None), *pieces)]
    return answer + tf.reshape(call[2], [1, -1] + [1] * spatial) if call.has(2) else answer


def _wanted_ranges(call: NodeCall, window: Window, sizes: list[Any], full: list[Any]) -> list[tuple[Any, Any]]:
    """From where to where the full answer is wanted, along each spatial axis."""
    mode, wanted = call.attribute("auto_pad", "NOTSET"), call.attribute("output_shape")
    if wanted is None and not mode.startswith("SAME"):
        return [(before, size - after) for (before, after), size in zip(window.pads, full, strict=True)]
    wanted = wanted or [size * step for size, step in zip(sizes, window.strides, strict=True)]
    kept = []
    for size, target in zip(full, wanted, strict=True):
        total = size - target
        if isinstance(total, int) and total < 0:
            raise call.refuse("wants more than it computes, which is not translated")
        start = total // 2 if mode != "SAME_LOWER" else total - total // 2
        kept.append((start, start + target))
    return kept


@operator("MaxPool", "AveragePool")
def pool(call: NodeCall) -> Any:
    """The largest value or the mean under a moving window."""
    x = tf.convert_to_tensor(call[0])
    window = Window(call, x, call.attribute("kernel_shape"))
    counted = [list(pair) for pair in window.pads]
    if call.attribute("ceil_mode", 0):
        _pad_for_ceil_mode(window, x)
    _pad_to_window(window, x)
    if call.node.op_type == "MaxPool":
        if len(call.node.output) > 1 and call.node.output[1]:
            raise call.refuse("tells where the largest values are, which is not translated")
        lowest = x.dtype.min if not x.dtype.is_floating else -np.inf
        return channels_first(_pooled(window.pad_image(x, lowest), window, "MAX"))
    sums = _pooled(window.pad_image(x, 0.0), window, "AVG")
    ones = tf.ones_like(x[:1, :1])
    if call.attribute("count_include_pad", 0):
        ones = tf.pad(ones, [[0, 0], [0, 0], *counted], constant_values=1)
        after = zip(window.pads, counted, strict=True)
        window.pads = [[0, pair[1] - own[1]] for pair, own in after]
    return channels_first(sums / _pooled(window.pad_image(ones, 0.0), window, "AVG"))


def _pooled(image: Any, window: Window, kind: str) -> Any:
    return tf.nn.pool(image, window.kernel, kind, strides=window.strides, padding="VALID", dilations=window.dilations)


def _pad_for_ceil_mode(window: Window, x: Any) -> None:
    """Pad such that a last window that only begins within the image counts too."""
    for axis, size in enumerate(shape_of(x)[2:]):
        before, after = window.pads[axis]
        step, span = window.strides[axis], (window.kernel[axis] - 1) * window.dilations[axis] + 1
        steps = _divided_up(size + before + after - span, step)
        beyond = steps * step >= size + before
        steps -= int(beyond) if isinstance(beyond, bool) else tf.cast(beyond, tf.int32)
        window.pads[axis] = [before, _at_least(after, steps * step + span - size - before)]


def _pad_to_window(window: Window, x: Any) -> None:
    """Pad what is smaller than one window, as ONNX Runtime sees it in a part of one."""
    for axis, size in enumerate(shape_of(x)[2:]):
        before, after = window.pads[axis]
        span = (window.kernel[axis] - 1) * window.dilations[axis] + 1
        window.pads[axis] = [before, _at_least(after, span - size - before)]


@operator("GlobalAveragePool", "GlobalMaxPool")
def whole_pool(call: NodeCall) -> Any:
    """One value per channel."""
    reduce = tf.reduce_mean if call.node.op_type == "GlobalAveragePool" else tf.reduce_max
    return reduce(call[0], list(range(2, call.rank())), keepdims=True)
