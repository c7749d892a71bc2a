"""Image processors of Hugging Face directories, and the image step that does the same."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.steps.image import IMAGE_BYTES, Crop, Image, Resize
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.toolchain.convert.torch.exporter import silence_torch
from onnxlet.toolchain.workbench.error_text import first_line
from onnxlet.toolchain.workbench.extras import require
from onnxlet.toolchain.workbench.pictures import naming_row, picture_bytes
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensor

FILE = "preprocessor_config.json"
CLOSE = 1e-5
"""How far the step may be off, relative to the largest number: normalizing twice rounds twice."""
SIZES = ((64, 48), (48, 64), (333, 500), (31, 30), (224, 224), (700, 90))
"""Widths and heights of the pictures on which step and processor are compared."""
_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""In the order of Pillow's numbers."""
_UNCROPPED = 384
"""The size from which ConvNeXT's processor crops nothing."""


class PictureProcessor:
    """A directory's own processor, and the step that does the same; pictures go through both."""

    def __init__(self, processor: Any, step: Image) -> None:
        self._processor, self.step = processor, step
        self._serve = step.preprocessor((TensorSpec(step.input, "FP32", (VARIABLE,) * 4),))

    def read(self, files: Sequence[Path]) -> Tensor:
        """What the processor makes of pictures. Raises InvalidInputError where the step refuses one, or differs."""
        made = []
        for row, data in enumerate(picture_bytes(files), start=1):
            with naming_row(row):
                pixels, distance = self._both(data)
                if distance > CLOSE:
                    raise InvalidInputError(
                        f"the version would make other numbers of it than the processor does, {distance:.1g} off"
                    )
            made.append(pixels)
        return np.concatenate(made)

    def largest_distance(self) -> float:
        """How far the step is off on pictures of several shapes, relative to the largest number."""
        import PIL.Image

        random = np.random.default_rng(0)
        distances = []
        for width, height in SIZES:
            buffer = io.BytesIO()
            PIL.Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(buffer, "PNG")
            distances.append(self._both(buffer.getvalue())[1])
        return max(distances)

    def _both(self, data: bytes) -> tuple[Tensor, float]:
        """What the processor makes of a picture, and how far the step is off."""
        served = self._serve({IMAGE_BYTES: np.array([data], dtype=object)})[self.step.input]
        own = self._process(data)
        if own.shape != served.shape:
            return own, float("inf")
        return own, float(np.abs(own - served).max() / max(float(np.abs(own).max()), 1e-30))

    def _process(self, data: bytes) -> Tensor:
        """As users do: transformers' own reading of a picture, then its processor."""
        import PIL.Image
        from transformers.image_utils import load_image

        with silence_torch():
            picture = load_image(PIL.Image.open(io.BytesIO(data)))
            pixels: Tensor = self._processor(images=picture, return_tensors="np")["pixel_values"]
        return pixels


def load_processor(directory: Path, pixels: str) -> PictureProcessor | None:
    """The directory's processor with its step; None if it has none, or one that no step does the same as.

    Raises ConversionError for a file that cannot be read.
    """
    if not (directory / FILE).is_file():
        return None
    require("huggingface", "PIL")
    from transformers import AutoImageProcessor

    try:
        with silence_torch():
            loaded = AutoImageProcessor.from_pretrained(
                directory, local_files_only=True, trust_remote_code=False, backend="pil"
            )
    except MODEL_ERRORS as error:
        raise ConversionError(f"transformers cannot read {FILE!r}: {first_line(error)}", path=str(directory)) from error
    try:
        processor = PictureProcessor(loaded, step_of(loaded, pixels))
        same = processor.step.size is not None and processor.largest_distance() <= CLOSE
    except MODEL_ERRORS:
        return None
    return processor if same else None


def step_of(processor: Any, pixels: str) -> Image:
    """What a processor of transformers' usual kind does, as a step. Raises ValueError where it cannot be said."""
    resize, crop = _sizes(processor)
    scale = float(processor.rescale_factor) if processor.do_rescale else 1.0
    mean, std = np.zeros(3), np.ones(3)
    if getattr(processor, "rescale_offset", False):
        mean = mean + 1
    if processor.do_normalize:
        mean = mean + np.broadcast_to(processor.image_mean, 3)
        std = std * np.broadcast_to(processor.image_std, 3)
    if getattr(processor, "include_top", False):
        std = std * np.broadcast_to(processor.image_std, 3)
    return Image(
        pixels,
        color="BGR" if getattr(processor, "do_flip_channel_order", False) else "RGB",
        resize=resize,
        crop=crop,
        scale=scale,
        mean=tuple(mean.tolist()) if mean.any() else (),
        std=tuple(std.tolist()) if (std != 1).any() else (),
    )


def _sizes(processor: Any) -> tuple[Resize | None, Crop | None]:
    resize = crop = None
    if processor.do_resize:
        kind: Any = _FILTERS[int(processor.resample)]
        size = processor.size
        short = _side(size, "shortest_edge")
        crop_share = getattr(processor, "crop_pct", None)
        if short is None:
            resize = Resize(exact=(_known_side(size, "height"), _known_side(size, "width")), filter=kind)
        elif crop_share is None:
            resize = Resize(short_side=short, filter=kind)
        elif short < _UNCROPPED:
            resize, crop = Resize(short_side=int(short / crop_share), filter=kind), Crop(short, short, "down")
        else:
            resize = Resize(exact=(short, short), filter=kind)
    if getattr(processor, "do_center_crop", False):
        size = processor.crop_size
        crop = Crop(_known_side(size, "height"), _known_side(size, "width"), "down")
    return resize, crop


def _side(size: Any, name: str) -> int | None:
    side = size.get(name) if isinstance(size, dict) else getattr(size, name, None)
    return None if side is None else int(side)


def _known_side(size: Any, name: str) -> int:
    side = _side(size, name)
    if side is None:
        raise ValueError(f"the size has no {name}")
    return side
