"""A heatmap over the picture that it explains, as a PNG: red where showing a place raises the answer, blue where it
lowers it, the stronger the more.
"""

from __future__ import annotations

import io

import numpy as np
import PIL.Image

from onnxlet.values.tensors import Tensor

_RED, _BLUE = (230, 20, 20), (20, 60, 230)
SMALLEST = 256
"""Pixels of the short side, at least: a picture that the model sees smaller is grown."""
LARGEST = 1024
"""Pixels of the long side, at most, a larger one is made smaller."""
_STRONGEST = 0.6
"""Share of the colour where the heat is greatest; the picture shines through."""


def draw_overlay(levels: Tensor, heat: Tensor, largest: float | None = None) -> bytes:
    """A PNG of a picture, levels uint8 [height, width, 1 or 3], under a heatmap [rows, columns].

    `largest` is the heat of the strongest colour, for several pictures on one scale; None: this one's own largest.
    """
    larger = max(1, -(-SMALLEST // min(levels.shape[:2])))
    shrunk = min(1.0, LARGEST / (larger * max(levels.shape[:2])))
    height, width = (max(1, round(side * larger * shrunk)) for side in levels.shape[:2])
    picture = PIL.Image.fromarray(levels.squeeze()).convert("RGB").resize((width, height), PIL.Image.Resampling.BICUBIC)
    fine = PIL.Image.fromarray(heat.astype(np.float32)).resize((width, height), PIL.Image.Resampling.BICUBIC)
    most = np.float32(largest or np.abs(heat).max() or 1.0)
    scaled = (np.asarray(fine) / most).clip(-1, 1)[:, :, None]
    colour = np.where(scaled > 0, np.array(_RED, np.float32), np.array(_BLUE, np.float32))
    share = np.abs(scaled) * _STRONGEST
    drawn = np.rint(np.asarray(picture) * (1 - share) + colour * share).astype(np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(drawn).save(buffer, "PNG")
    return buffer.getvalue()
