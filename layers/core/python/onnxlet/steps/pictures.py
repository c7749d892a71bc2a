"""Pictures: bytes to levels, by Pillow, which is imported here and nowhere else when a step first needs it.

A picture is decoded by the decoder of the format that its first bytes show, and only after its header has told how many
pixels there are. Pillow decodes at full size: its `draft` is faster, and up to five levels off. Plugins that Pillow
does not import by itself are named here, or it would import all forty to find them.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import PIL.ImageOps
import PIL.TiffImagePlugin
import PIL.WebPImagePlugin

from onnxlet.errors import InvalidInputError
from onnxlet.steps.picture_formats import DICOM, FORMATS, LARGEST_SIDE, format_of
from onnxlet.values.tensors import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from onnxlet.steps.dicom.header import Header
    from onnxlet.steps.image import Crop, Image, Resize

_SHALLOW = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr"})
"""Pillow's modes of at most 8 bits a channel whose colours need no profile."""
_DEEP = ("I", "F")
_HALF = 2


def picture_bytes(sent: bytes | str, row: int) -> bytes:
    """The bytes of a picture that may have been sent as a text in base64. Raises InvalidInputError for other texts."""
    if isinstance(sent, bytes):
        return sent
    try:
        return binascii.a2b_base64(sent, strict_mode=True)
    except ValueError as error:
        raise InvalidInputError(f"picture {row} is not base64: {str(error).lower()}", row=row) from None


def count_pixels(data: bytes, row: int, step: Image) -> int:
    """How many pixels the header tells. Raises InvalidInputError for more, and for what will not be decoded."""
    if format_of(data) == DICOM:
        return _dicom_header(data, row, step).pixels
    picture = _open(data, row, step)
    # phones write a JPEG with a second one behind it; what any viewer shows is the first
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise InvalidInputError(f"picture {row} has several frames or pages: send the one that is meant", row=row)
    if picture.mode.startswith(_DEEP):
        raise InvalidInputError(
            f"picture {row} has more than 8 bits a channel, of which 8 would be lost: window it to 8 bits first, or "
            "send the tensor",
            row=row,
        )
    if picture.mode not in _SHALLOW:
        raise InvalidInputError(
            f"picture {row} is in {picture.mode}, whose colours depend on a profile: convert it to RGB first", row=row
        )
    return prod(picture.size)


def read_levels(data: bytes, row: int, step: Image) -> Tensor:
    """The picture's levels [height, width, channels], turned, resized and cropped. Raises InvalidInputError."""
    picture = _dicom_picture(data, row, step) if format_of(data) == DICOM else _open(data, row, step)
    with _explaining(row, picture.format or ""):
        PIL.ImageOps.exif_transpose(picture, in_place=True)
        made = _colored(picture, "L" if step.color == "L" else "RGB")
        if step.resize is not None:
            _check_resizing(made, step, row)
            made = _resized(made, step.resize)
        if step.crop is not None:
            made = _cropped(made, step.crop)
        levels = np.asarray(made)
    levels = levels.reshape(*levels.shape[:2], step.channels)
    return levels[:, :, ::-1] if step.color == "BGR" else levels


def _dicom_header(data: bytes, row: int, step: Image) -> Header:
    if step.dicom is None:
        raise InvalidInputError(
            f"picture {row} is DICOM, which the model's image step does not speak of: send {FORMATS}", row=row
        )
    from onnxlet.steps.dicom.levels import check_header

    with _explaining(row, DICOM):
        header = check_header(data, row, step.dicom)
    if header.pixels > step.max_pixels:
        raise _too_large(row, step.max_pixels)
    return header


def _dicom_picture(data: bytes, row: int, step: Image) -> Picture:
    from onnxlet.steps.dicom.levels import read_levels
    from onnxlet.steps.dicom.options import Dicom

    header = _dicom_header(data, row, step)
    with _explaining(row, DICOM):
        return PIL.Image.fromarray(read_levels(data, header, step.dicom or Dicom()))


def _open(data: bytes, row: int, step: Image) -> Picture:
    """The picture, whose header alone was read."""
    kind = format_of(data)
    if not kind:
        raise InvalidInputError(f"picture {row} is no {FORMATS}", row=row)
    try:
        with _explaining(row, kind):
            picture = PIL.Image.open(BytesIO(data), formats=(kind,))
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise _too_large(row, step.max_pixels) from None
    if prod(picture.size) > step.max_pixels:
        raise _too_large(row, step.max_pixels)
    return picture


def _colored(picture: Picture, mode: str) -> Picture:
    if picture.mode == "P" and "transparency" in picture.info:
        # else Pillow warns of it
        picture = picture.convert("RGBA")
    # a conversion to its own mode would be a copy
    return picture if picture.mode == mode else picture.convert(mode)


def _resized(picture: Picture, resize: Resize) -> Picture:
    method = PIL.Image.Resampling[resize.filter.upper()]
    height, width = _target(picture, resize)
    if resize.letterbox is None:
        return picture.resize((width, height), method)
    fill = (resize.fill,) * len(picture.getbands())
    return PIL.ImageOps.pad(picture, (width, height), method, fill if len(fill) > 1 else resize.fill)


def _target(picture: Picture, resize: Resize) -> tuple[int, int]:
    """Height and width to make it of."""
    if resize.short_side is None:
        return resize.exact or resize.letterbox or (picture.height, picture.width)
    side, long = resize.short_side, int(resize.short_side * max(picture.size) / min(picture.size))
    return (long, side) if picture.width <= picture.height else (side, long)


def _check_resizing(picture: Picture, step: Image, row: int) -> None:
    """Raise InvalidInputError for a strip that would grow beyond all bounds: Pillow makes the new width first."""
    if step.resize is not None:
        height, width = _target(picture, step.resize)
        if width * max(height, picture.height) > max(step.max_pixels, LARGEST_SIDE**2):
            raise InvalidInputError(
                f"picture {row} is too long and narrow: {picture.width} x {picture.height} pixels", row=row
            )


def _cropped(picture: Picture, crop: Crop) -> Picture:
    left = _margin(picture.width - crop.width, crop)
    top = _margin(picture.height - crop.height, crop)
    # what lies outside is black
    return picture.crop((left, top, left + crop.width, top + crop.height))


def _margin(surplus: int, crop: Crop) -> int:
    """Pixels before the centre; fewer than none where there are too few."""
    if crop.rounding == "down":
        return surplus // _HALF
    return round(surplus / _HALF) if surplus >= 0 else -(-surplus // _HALF)


def _too_large(row: int, max_pixels: int) -> InvalidInputError:
    return InvalidInputError(f"picture {row} has more than {max_pixels:,} pixels: send a smaller one", row=row)


@contextmanager
def _explaining(row: int, kind: str) -> Iterator[None]:
    """Say of whatever Pillow raises that the picture is broken: garbage makes it raise errors of any kind."""
    try:
        yield
    except (InvalidInputError, PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise
    except Exception:  # noqa: BLE001 - as above
        raise InvalidInputError(
            f"picture {row} is broken or cut off: it cannot be decoded as {kind}", row=row
        ) from None
