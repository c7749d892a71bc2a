"""Measuring: numbers of pictures and texts that monitoring counts, as the steps before the graph read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxlet.errors import OnnxletError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Reader

    from onnxlet.steps.base import Preprocessor
    from onnxlet.steps.image import Image
    from onnxlet.steps.tokenizer import Tokenizer
    from onnxlet.values.tensors import Tensors

LONGEST = 10_000
"""Characters of a text of which tokens are counted."""


class PictureMeasure:
    """Of pictures [N]: pixels, brightness and contrast, from 0 to 1."""

    def __init__(self, step: Image) -> None:
        self._step = step

    def __call__(self, tensors: Tensors) -> Tensors:
        """The numbers [n] of those that can be read."""
        from onnxlet.steps.image import IMAGE_BYTES, LEVELS
        from onnxlet.steps.pictures import count_pixels, picture_bytes, read_levels

        found = []
        for row, sent in enumerate(tensors[IMAGE_BYTES].ravel().tolist() if IMAGE_BYTES in tensors else ()):
            try:
                data = picture_bytes(sent, row)
                pixels, levels = count_pixels(data, row, self._step), read_levels(data, row, self._step)
            except OnnxletError:
                continue
            scaled = levels.astype(np.float64) / (LEVELS - 1)
            found.append((pixels, scaled.mean(), scaled.std()))
        measured = np.array(found, dtype=np.float64).reshape(-1, 3)
        names = ("pixels", "brightness", "contrast")
        return {f"{IMAGE_BYTES}: {name}": measured[:, place] for place, name in enumerate(names)}


def measure_tokens(step: Tokenizer, document: bytes) -> Preprocessor | None:
    """What tells the share of unknown tokens of each column of texts; None where no token is unknown."""
    from tokenizers import Tokenizer as Reader

    reader = Reader.from_buffer(document)
    name = getattr(reader.model, "unk_token", None)
    unknown = None if name is None else reader.token_to_id(name)
    if unknown is None:
        return None

    def measure(tensors: Tensors) -> Tensors:
        sent = {column: tensors[column].ravel().tolist() for column in step.columns if column in tensors}
        return {
            f"{column}: unknown tokens": np.array([_share(reader, unknown, text) for text in texts])
            for column, texts in sent.items()
        }

    return measure


def _share(reader: Reader, unknown: int, sent: bytes | str) -> float:
    text = sent.decode("utf-8", "replace") if isinstance(sent, bytes) else sent
    ids = reader.encode(text[:LONGEST], add_special_tokens=False).ids
    return ids.count(unknown) / len(ids) if ids else 0.0
