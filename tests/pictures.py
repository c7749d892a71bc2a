"""Pictures that tests generate, and how they are written."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs the image extra")
import PIL.Image


def picture(width: int = 40, height: int = 30, mode: str = "RGB", seed: int = 0) -> PIL.Image.Image:
    """Soft shapes under some noise, so that no two pixels are alike."""
    random = np.random.default_rng(seed)
    coarse = PIL.Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((width, height), PIL.Image.Resampling.BICUBIC)).astype(np.int16)
    noisy = (soft + random.integers(-9, 10, soft.shape)).clip(0, 255).astype(np.uint8)
    return PIL.Image.fromarray(noisy).convert(mode)


def written(image: PIL.Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as a file of this format."""
    buffer = io.BytesIO()
    save: Any = image.save
    save(buffer, kind, **options)
    return buffer.getvalue()


def read(data: bytes, mode: str = "RGB") -> PIL.Image.Image:
    """The picture as Pillow reads it by itself."""
    return PIL.Image.open(io.BytesIO(data)).convert(mode)
