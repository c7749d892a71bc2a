"""Pictures that tests generate, and how they are written."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from onnx import helper

from doors import Shop, spec
from onnxlet.errors import InvalidInputError, RequestTooLargeError
from onnxlet.steps import Classification, Steps
from onnxlet.steps.dicom.options import Dicom
from onnxlet.steps.image import Crop, Image, Resize
from onnxlet.values.signature import TensorSpec

pytest.importorskip("PIL", reason="needs the image extra")
import PIL.Image

LABELS = ("dark", "bright")


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


DARK = written(picture().point(lambda level: level // 4), "JPEG")
BRIGHT = written(picture().point(lambda level: level // 4 + 190), "JPEG")


def publish_films(shop: Shop, dicom: Dicom | None = None) -> None:
    """Publish a model that tells bright pictures from dark ones."""
    step = Image("pixels", dicom=dicom, resize=Resize(short_side=10), crop=Crop(8, 8), scale=1 / 255)
    shop.publish(
        "films",
        [spec("pixels", "FP32", -1, 3, 8, 8)],
        [spec("class", "INT64", -1), spec("scores", "FP32", -1, 2)],
        [
            helper.make_node("ReduceMean", ["pixels", "axes"], ["light"], keepdims=0),
            helper.make_node("Reshape", ["light", "column"], ["bright"]),
            helper.make_node("Sub", ["one", "bright"], ["dark"]),
            helper.make_node("Concat", ["dark", "bright"], ["scores"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["class"], axis=1, keepdims=0),
        ],
        weights={
            "axes": np.array([1, 2, 3]),
            "column": np.array([-1, 1]),
            "one": np.array([1], np.float32),
        },
        served=[spec("label", "BYTES", -1), spec("probability", "FP32", -1), spec("probabilities", "FP32", -1, 2)],
        steps=Steps((step, Classification("class", "scores", LABELS, (0, 1)))),
    )


def levels_of(step: Image, *sent: bytes | str, datatype: str = "FP32") -> Any:  # noqa: ANN401 - an array
    """What the graph gets for the pictures."""
    shape = (-1, step.channels, -1, -1) if step.layout == "NCHW" else (-1, -1, -1, step.channels)
    tensor = np.empty(len(sent), dtype=object)
    tensor[:] = sent
    return step.preprocessor((TensorSpec("pixels", datatype, shape),))({"image_bytes": tensor})["pixels"]


def refused(step: Image, *sent: bytes | str) -> str:
    with pytest.raises((InvalidInputError, RequestTooLargeError)) as caught:
        levels_of(step, *sent)
    return caught.value.detail
