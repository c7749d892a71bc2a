"""Pictures for networks of any framework: the image step that the caller describes, and what it makes of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps.image import IMAGE_BYTES, Image
from onnxlet.toolchain.workbench.pictures import naming_row, picture_bytes
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensors


def make_image_step(document: Mapping[str, Any], names: Sequence[str]) -> Image:
    """The step for a network with inputs of these names. Raises InvalidInputError for a document that is none."""
    if "input" not in document and len(names) != 1:
        raise InvalidInputError("the model does not have one input: say in the image step which 'input' is meant")
    filled = {"kind": "image", "input": names[0] if names else "", **document}
    try:
        return msgspec.convert(filled, Image)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"the image step cannot be read: {error}") from error


def read_pictures(step: Image, files: Sequence[Path]) -> Tensors:
    """What the step makes of pictures. Raises InvalidInputError for one that it refuses, and where sizes differ."""
    if step.size is None:
        raise InvalidInputError("the image step leaves pictures of several sizes: give it an exact size, or a crop")
    reader = step.preprocessor((TensorSpec(step.input, "FP32", (VARIABLE,) * 4),))
    rows = []
    for row, data in enumerate(picture_bytes(files), start=1):
        with naming_row(row):
            rows.append(reader({IMAGE_BYTES: np.array([data], dtype=object)})[step.input])
    return {step.input: np.concatenate(rows)}
