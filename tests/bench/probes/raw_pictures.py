"""Pillow, numpy and ONNX Runtime on the JPEG files of a folder: MODEL FOLDER ROWS; prints the seconds it takes.

All cores work on each batch of ROWS pictures, and one of them on reading each.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt
import onnxruntime
import PIL.Image

graph, folder, rows = sys.argv[1:]
MEAN, STD = np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32)
SHORT, SIDE = 256, 224
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = len(os.sched_getaffinity(0))
session = onnxruntime.InferenceSession(graph, options)


def read(path: Path) -> npt.NDArray[np.float32]:
    """A picture as networks of this kind are trained on."""
    image = PIL.Image.open(path).convert("RGB")
    scale = SHORT / min(image.size)
    small = image.resize((round(image.width * scale), round(image.height * scale)), PIL.Image.Resampling.BILINEAR)
    left, top = (small.width - SIDE) // 2, (small.height - SIDE) // 2
    levels = np.asarray(small.crop((left, top, left + SIDE, top + SIDE))).astype(np.float32) / 255
    return ((levels - MEAN) / STD).astype(np.float32, copy=False).transpose(2, 0, 1)


def run(paths: list[Path]) -> None:
    """Classify some pictures."""
    session.run(None, {"pixels": np.stack([read(path) for path in paths])})


files = sorted(Path(folder).iterdir())
run(files[: int(rows)])
started = perf_counter()
for first in range(0, len(files), int(rows)):
    run(files[first : first + int(rows)])
print(perf_counter() - started)  # noqa: T201 - what it is for
