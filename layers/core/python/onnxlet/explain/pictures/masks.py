"""Random masks over a picture: smooth, from 0 (covered) to 1 (shown)."""

from __future__ import annotations

import numpy as np
import PIL.Image

from onnxlet.values.tensors import Tensor

PATCHES = 7
"""Patches along a side."""
SHOWN = 0.5
"""Share of them that is shown."""


def draw_masks(random: np.random.Generator, height: int, width: int, count: int) -> Tensor:
    """Masks [count, height, width], float32.

    Source: Petsiuk, Das, Saenko, "RISE: randomized input sampling for explanation of black-box models", 2018.
    """
    # one patch more than fits, and cut out at a random place, so that edges of patches fall anywhere
    tall, wide = -(-height // PATCHES), -(-width // PATCHES)
    size = (PATCHES + 1) * wide, (PATCHES + 1) * tall
    masks = np.empty((count, height, width), np.float32)
    for number in range(count):
        patches = (random.random((PATCHES + 1, PATCHES + 1)) < SHOWN).astype(np.float32)
        grown = np.asarray(PIL.Image.fromarray(patches).resize(size, PIL.Image.Resampling.BILINEAR))
        top, left = random.integers(tall), random.integers(wide)
        masks[number] = grown[top : top + height, left : left + width]
    return masks


def pool(masks: Tensor, rows: int, columns: int) -> Tensor:
    """How much of each cell of a grid is shown [masks, rows * columns], float64."""
    _, height, width = masks.shape
    tops, lefts = np.arange(rows) * height // rows, np.arange(columns) * width // columns
    sums = np.add.reduceat(np.add.reduceat(masks.astype(np.float64), tops, axis=1), lefts, axis=2)
    sizes = np.outer(np.diff([*tops, height]), np.diff([*lefts, width]))
    shown: Tensor = (sums / sizes).reshape(len(masks), -1)
    return shown
