"""Row 15: what a photograph costs, against Pillow and numpy by hand."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))

import PIL.Image
from row import Row, interleaved

from onnxlet.steps.image import Crop, Image, Resize
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor
from pictures import picture, written

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PICTURES = 20


def image_rows() -> list[Row]:
    """Row 15: a JPEG of 1024 x 768 pixels to 224 x 224."""
    data = written(picture(1024, 768), "JPEG", quality=90)
    step = Image("pixels", resize=Resize(short_side=256), crop=Crop(224, 224), scale=1 / 255, mean=MEAN, std=STD)
    reader = step.preprocessor((TensorSpec("pixels", "FP32", (-1, 3, 224, 224)),))
    sent: Tensor = np.array([data], dtype=object)
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)

    def by_hand() -> None:
        image = PIL.Image.open(io.BytesIO(data)).convert("RGB")
        small = image.resize((341, 256), PIL.Image.Resampling.BILINEAR).crop((58, 16, 282, 240))
        levels = np.asarray(small).astype(np.float32) / 255
        np.ascontiguousarray(((levels - mean) / std).transpose(2, 0, 1))

    best = interleaved(
        {"step": lambda: _seconds(lambda: reader({"image_bytes": sent})), "Pillow + numpy": lambda: _seconds(by_hand)}
    )
    parts: dict[str, float | str] = {f"{name}, ms": seconds * 1000 for name, seconds in best.items()}
    return [Row(15, "JPEG 1024 x 768 to 224", best["step"] / best["Pillow + numpy"], 1.1, "ratio", parts=parts)]


def _seconds(call: Callable[[], object]) -> float:
    """Seconds of a call, the mean of some."""
    started = perf_counter()
    for _ in range(PICTURES):
        call()
    return (perf_counter() - started) / PICTURES
