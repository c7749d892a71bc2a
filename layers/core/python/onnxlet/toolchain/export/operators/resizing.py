"""Operators that change the size of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator
from onnxlet.values.tensors import Tensor


@operator("Resize", "Upsample")
def resize(call: NodeCall) -> Any:
    """Axis by axis, to the nearest pixel or between the two nearest."""
    x, mode = tf.convert_to_tensor(call[0]), call.attribute("mode", "nearest")
    if mode not in {"nearest", "linear"} or call.attribute("antialias", 0):
        raise call.refuse(f"resizes in the mode {mode!r}, or against aliases, which is not translated")
    sizes = x.shape.as_list()
    for axis, (scale, wanted) in enumerate(_wanted(call, sizes)):
        if scale == 1:
            continue
        size = sizes[axis]
        if size is None:
            raise call.refuse("resizes an image of unknown size; convert the model with a fixed one")
        places = _places(call, size, wanted, scale)
        if mode == "nearest":
            x = tf.gather(x, _rounded(call, places).clip(0, size - 1), axis=axis)
            continue
        places = places.clip(0, size - 1)
        low = np.floor(places).astype(np.int64)
        share = (places - low).astype(np.float32).reshape([-1] + [1] * (len(sizes) - 1 - axis))
        first, second = (tf.gather(x, low, axis=axis), tf.gather(x, np.minimum(low + 1, size - 1), axis=axis))
        x = first * (1 - share) + second * share
    return x


def _wanted(call: NodeCall, sizes: list[int | None]) -> list[tuple[float, int]]:
    """Per axis the scale and the new size."""
    older = call.node.op_type == "Upsample" or call.opset < 11  # noqa: PLR2004 - where an input was put in between
    axes = call.attribute("axes", list(range(len(sizes))))
    wanted: list[tuple[float, int]] = [(1.0, size or 0) for size in sizes]
    if call.has(3):
        if call.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise call.refuse("keeps the proportions of images, which is not translated")
        for axis, new in zip(axes, call.static(3).tolist(), strict=True):
            old = sizes[axis]
            wanted[axis] = (1.0 if old is None else new / old, new)
        return wanted
    index = 1 if older else 2
    scales = call.static(index).tolist() if call.has(index) else call.attribute("scales")
    for axis, scale in zip(axes, scales, strict=True):
        wanted[axis] = (scale, int((sizes[axis] or 0) * scale))
    return wanted


def _places(call: NodeCall, size: int, wanted: int, scale: float) -> Tensor:
    """Where each new pixel lies among the old ones."""
    new = np.arange(wanted, dtype=np.float64)
    mode = call.attribute("coordinate_transformation_mode", "half_pixel" if call.opset > 10 else "asymmetric")  # noqa: PLR2004
    match mode:
        case "asymmetric":
            return new / scale
        case "align_corners":
            return new * (size - 1) / max(wanted - 1, 1)
        case "half_pixel" | "pytorch_half_pixel":
            return np.zeros(1) if mode != "half_pixel" and wanted == 1 else (new + 0.5) / scale - 0.5
    raise call.refuse(f"places pixels in the mode {mode!r}, which is not translated")


def _rounded(call: NodeCall, places: Tensor) -> Tensor:
    older = call.opset < 11 or call.node.op_type == "Upsample"  # noqa: PLR2004
    match call.attribute("nearest_mode", "floor" if older else "round_prefer_floor"):
        case "floor":
            rounded = np.floor(places)
        case "ceil":
            rounded = np.ceil(places)
        case "round_prefer_ceil":
            rounded = np.floor(places + 0.5)
        case _:
            rounded = np.ceil(places - 0.5)
    return rounded.astype(np.int64)
