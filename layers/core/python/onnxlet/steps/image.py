"""Images: encoded pictures become a graph input, as torchvision makes it of PIL's images.

`pictures` decodes them, with Pillow, when a version with such a step is loaded; nothing else needs it.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError, RejectedModelError, RequestTooLargeError
from onnxlet.steps.base import Preprocessor, Read, Specs, Step, spec_named
from onnxlet.steps.dicom.options import Dicom
from onnxlet.steps.picture_formats import LARGEST_SIDE
from onnxlet.values.signature import IMAGES, TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensor, Tensors

IMAGE_BYTES = "image_bytes"
"""The input that takes pictures; TensorFlow Serving lets names of what is sent in base64 end so."""
MOST_PIXELS = 25_000_000
"""Pixels of a picture, unless the step says otherwise: 9 bytes of memory each while it is decoded, 16 in WebP."""
PICTURES_AT_ONCE = 4
"""Of how many pictures of the most pixels a request may have the pixels."""
MOST_BYTES = 32 * 2**20
"""Bytes of the tensor of a request's pictures; one alone may have more."""
LEVELS = 256
_LOOKED_UP = 1 << 18
"""Pixels of a channel that are looked up at once: numpy makes eight bytes of each."""

_CHANNELS = {"RGB": 3, "BGR": 3, "L": 1}

Size = tuple[int, int]
"""Height and width, in pixels."""
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class Resize(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """To a size, one of three: a `short_side` of so many pixels, the other in proportion; `exact`, whatever the
    proportions; `letterbox`, as large as it fits, with `fill` around it.
    """

    short_side: int | None = None
    exact: Size | None = None
    letterbox: Size | None = None
    filter: Filter = "bilinear"
    fill: int = 0
    """The level of a letterbox's bars, 0 to 255."""

    def __post_init__(self) -> None:
        """Raise ValueError for more or fewer than one size, and for what is none."""
        given = [each for each in (self.short_side, self.exact, self.letterbox) if each is not None]
        if len(given) != 1:
            raise ValueError("resize takes one of short_side, exact and letterbox")
        _check_sides((given[0],) if isinstance(given[0], int) else given[0])
        if not 0 <= self.fill < LEVELS:
            raise ValueError("fill is a level from 0 to 255")

    def describe(self) -> str:
        """The size, in words."""
        if self.short_side is not None:
            return f"short side {self.short_side} ({self.filter})"
        (height, width), how = (self.exact, "") if self.exact else (self.letterbox or (0, 0), "letterbox ")
        return f"{how}{height} x {width} ({self.filter})"


class Crop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The centre, with black around a picture that is smaller.

    `rounding` is that of half a pixel: `even` as torchvision, `down` as Hugging Face.
    """

    height: int
    width: int
    rounding: Literal["even", "down"] = "even"

    def __post_init__(self) -> None:
        """Raise ValueError for what is no size."""
        _check_sides((self.height, self.width))


class Image(Step, frozen=True, tag="image", omit_defaults=True):
    """Pictures [N] in JPEG, PNG, WebP or TIFF become `input`, [N, channels, height, width] or channels last.

    In this order: turned as EXIF says, made `color`, resized, cropped, and each level `(level * scale - mean) / std`
    by channel, in the order of `color`. Whoever has the tensor may send that instead. With `dicom`, files in DICOM are
    taken too, by their levels.
    """

    input: str
    color: Literal["RGB", "BGR", "L"] = "RGB"
    resize: Resize | None = None
    crop: Crop | None = None
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dicom: Dicom | None = None
    max_pixels: int = MOST_PIXELS

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that are not one for each channel, and for what is out of range."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers and len(numbers) != self.channels:
                raise ValueError(f"{name} has {len(numbers)} numbers, {self.color} has {self.channels} channels")
        if not np.isfinite([self.scale, *self.mean, *self.std]).all() or 0 in self.std:
            raise ValueError("scale, mean and std are finite, and std is not 0")
        if not 0 < self.max_pixels <= 4 * MOST_PIXELS:
            raise ValueError(f"max_pixels is at most {4 * MOST_PIXELS:,}")

    @property
    def channels(self) -> int:
        """How many there are."""
        return _CHANNELS[self.color]

    @property
    def size(self) -> Size | None:
        """Height and width of what the graph gets, where they are always the same."""
        if self.crop is not None:
            return self.crop.height, self.crop.width
        return None if self.resize is None else self.resize.exact or self.resize.letterbox

    def signatures(self) -> tuple[str, ...]:
        """`images`."""
        return (IMAGES,)

    def fills(self) -> tuple[str, ...]:
        """The tensor."""
        return (self.input,)

    def encoded(self) -> tuple[str, ...]:
        """The pictures."""
        return (IMAGE_BYTES,)

    def describe(self) -> str:
        """How a picture becomes what the graph gets."""
        each = [f"pictures in {self.color}"]
        if self.dicom is not None:
            each[0] += f", {self.dicom.describe()}"
        if self.resize is not None:
            each.append(self.resize.describe())
        if self.crop is not None:
            each.append(f"the centre {self.crop.height} x {self.crop.width}")
        if self.scale != 1 or self.mean or self.std:
            each.append("scaled" + (" and normalized" if self.mean or self.std else ""))
        return " → ".join([*each, f"{self.input} {self.layout}"])

    def inputs(self, wanted: Specs) -> Specs:
        """Any number of pictures in place of the tensor. Raises RejectedModelError for one that is none of pictures."""
        self._check(spec_named(self.input, wanted))
        pictures = TensorSpec(IMAGE_BYTES, "BYTES", (VARIABLE,))
        return tuple(pictures if spec.name == self.input else spec for spec in wanted)

    def preprocessor(self, wanted: Specs) -> Preprocessor:
        """What decodes them. Raises RejectedModelError where Pillow is not installed."""
        return PictureReader(self, spec_named(self.input, wanted)).apply

    def measure(self, read: Read) -> Preprocessor:  # noqa: ARG002 - it has no artifacts
        """Pixels, brightness and contrast of pictures: the mean and the standard deviation of what the graph gets."""
        from onnxlet.steps.measuring import PictureMeasure

        return PictureMeasure(self)

    def _check(self, spec: TensorSpec) -> None:
        height, width = self.size or (VARIABLE, VARIABLE)
        made = (self.channels, height, width) if self.layout == "NCHW" else (height, width, self.channels)
        fits = len(spec.shape) == 1 + len(made) and all(
            VARIABLE in (wanted, size) or wanted == size for wanted, size in zip(spec.shape[1:], made, strict=False)
        )
        if not fits or spec.shape[0] not in (VARIABLE, 1):
            raise RejectedModelError(f"pictures become {[VARIABLE, *made]}, and the graph's input is {spec}")
        if spec.type.kind == "f" or (spec.datatype == "UINT8" and (self.scale, self.mean, self.std) == (1.0, (), ())):
            return
        raise RejectedModelError(f"scaled levels are no {spec.datatype}, which {spec.name!r} takes")


class PictureReader:
    """The step with its plan made once; `apply` is what a prediction pays."""

    def __init__(self, step: Image, spec: TensorSpec) -> None:
        try:
            from onnxlet.steps import pictures
        except ImportError as error:
            raise RejectedModelError(
                "the version reads pictures, and Pillow is not installed here: deploy with the parameter "
                "Media=true, or pip install 'onnxlet[image]'"
            ) from error
        self._step, self._pictures = step, pictures
        self._tables = make_tables(step).astype(spec.type.numpy)
        self._nchw = step.layout == "NCHW"
        bytes_each = prod(step.size) * self._tables[:, 0].nbytes if step.size else MOST_BYTES
        self._most = max(1, MOST_BYTES // bytes_each)

    def apply(self, tensors: Tensors) -> Tensors:
        """The graph's inputs for pictures [N], each as bytes or as a text in base64.

        Raises InvalidInputError for what is no such picture, RequestTooLargeError for too many of them, or of pixels.
        """
        encoded = tensors[IMAGE_BYTES].ravel().tolist()
        self._check_count(len(encoded))
        data = [self._pictures.picture_bytes(one, row) for row, one in enumerate(encoded)]
        limit = self._step.max_pixels
        counts = [self._pictures.count_pixels(one, row, self._step) for row, one in enumerate(data)]
        if sum(counts) > PICTURES_AT_ONCE * limit:
            raise RequestTooLargeError(
                f"the pictures have more than {PICTURES_AT_ONCE * limit:,} pixels together: send fewer per call"
            )
        # one is decoded at a time, and forgotten
        made = [self._scaled(self._pictures.read_levels(one, row, self._step)) for row, one in enumerate(data)]
        rest = {name: tensor for name, tensor in tensors.items() if name != IMAGE_BYTES}
        # a stack of one would be a copy
        return rest | {self._step.input: np.stack(made) if len(made) > 1 else made[0][None]}

    def _check_count(self, count: int) -> None:
        if not count:
            raise InvalidInputError("there is no picture: send at least one")
        if count > self._most:
            raise RequestTooLargeError(
                f"{count} pictures were sent, and at most {self._most} are read at once: send fewer per call"
            )

    def _scaled(self, levels: Tensor) -> Tensor:
        """Levels [height, width, channels] as the graph takes them, without the row."""
        height, width, channels = levels.shape
        rows = max(1, _LOOKED_UP // width)
        made = np.empty((channels, height, width) if self._nchw else levels.shape, self._tables.dtype)
        by_channel = made if self._nchw else made.transpose(2, 0, 1)
        for channel, table in enumerate(self._tables):
            for top in range(0, height, rows):
                part = slice(top, top + rows)
                # no level is beyond the table, and "clip" does not look for one first: a third of the time
                np.take(table, levels[part, :, channel], out=by_channel[channel, part], mode="clip")
        return made


def make_tables(step: Image) -> Tensor:
    """What each level becomes, by channel [channels, 256]; in the steps, and with the rounding, of torchvision."""
    scaled = (np.arange(LEVELS) * step.scale).astype(np.float32)
    tables = np.repeat(scaled[None], step.channels, axis=0)
    if step.mean:
        tables -= np.array(step.mean, np.float32)[:, None]
    if step.std:
        tables /= np.array(step.std, np.float32)[:, None]
    return tables


def _check_sides(sides: tuple[int, ...]) -> None:
    if not all(0 < side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"a side has from 1 to {LARGEST_SIDE} pixels")
