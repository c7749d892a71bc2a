"""Pixels of a DICOM file to levels: a table says what each value that a pixel may have becomes."""

from __future__ import annotations

from itertools import pairwise
from struct import unpack_from
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from onnxlet.errors import InvalidInputError
from onnxlet.steps.dicom.elements import UNDEFINED, BrokenFileError, read_fragments
from onnxlet.steps.dicom.header import Header, read_header

if TYPE_CHECKING:
    from onnxlet.steps.dicom.options import Dicom
    from onnxlet.values.tensors import Tensor

LEVELS = 256
_BLOCK = 1 << 16
"""Pixels looked up at once: numpy makes eight bytes of each index."""
_RLE_HEADER = 64
_STEEPEST = 700
"""Exponents beyond are those of 0 and 1."""
_MOST_GROWTH = 64
"""Pixels that a byte in RLE becomes, at most: two bytes repeat one 128 times."""


def check_header(data: bytes, row: int, options: Dicom) -> Header:
    """What the file says of its pixels, which are all there, as far as their number of bytes can tell.

    Raises InvalidInputError for what is not read, errors of other kinds for what is no such file.
    """
    header = read_header(data, row)
    if options.window == "file" and header.window is None:
        instead = "with a table of levels in place of a window" if header.has_table else "without a window"
        raise InvalidInputError(
            f"picture {row} is a DICOM file {instead}, and the model's image step takes its window from the file",
            row=row,
        )
    growth = _MOST_GROWTH if header.length == UNDEFINED else 1
    if header.pixels * (header.allocated // 8) > (len(data) - header.pixels_at) * growth:
        raise BrokenFileError("fewer bytes than pixels")
    return header


def read_levels(data: bytes, header: Header, options: Dicom) -> Tensor:
    """Levels [rows, columns] from 0 to 255, as a viewer shows them. Raises errors of any kind for broken pixels."""
    pixels = _decode(data, header)
    with np.errstate(over="ignore"):  # a width of next to nothing
        shares = _shares(_values(header), header, options, pixels)
    table = np.rint(shares * (LEVELS - 1)).astype(np.uint8)
    if header.inverted:
        table = LEVELS - 1 - table
    levels = np.empty(header.pixels, np.uint8)
    for start in range(0, header.pixels, _BLOCK):
        levels[start : start + _BLOCK] = table[pixels[start : start + _BLOCK]]
    return levels.reshape(header.rows, header.columns)


def _decode(data: bytes, header: Header) -> Tensor:
    """The pixels as they are stored, unsigned, with bits that may be nothing of theirs."""
    if header.length != UNDEFINED:
        kind = np.dtype(f"<u{header.allocated // 8}")
        if header.pixels * kind.itemsize > header.length:
            raise BrokenFileError("fewer bytes than pixels")
        return np.frombuffer(data, kind, header.pixels, header.pixels_at)
    planes = [_unpacked(segment, header.pixels) for segment in _segments(data, header)]
    if len(planes) == 1:
        return planes[0]
    high, low = planes
    pixels = high.astype(np.uint16)
    pixels <<= 8
    pixels |= low
    return pixels


def _segments(data: bytes, header: Header) -> list[bytes]:
    """The bytes of all pixels by significance, the highest first, each compressed by itself (PS3.5, annex G)."""
    frame = read_fragments(data, header.pixels_at)
    count, *offsets = unpack_from("<16I", frame)
    if count != header.allocated // 8:
        raise BrokenFileError("not a segment for each byte of a pixel")
    edges = [*offsets[:count], len(frame)]
    if edges[0] < _RLE_HEADER or sorted(edges) != edges:
        raise BrokenFileError("segments out of order")
    return [frame[start:end] for start, end in pairwise(edges)]


def _unpacked(segment: bytes, pixels: int) -> Tensor:
    if pixels > len(segment) * _MOST_GROWTH:
        raise BrokenFileError("fewer bytes than pixels")
    # PackBits, as in TIFF; as one row, because some writers let runs go on into the next
    return np.asarray(PIL.Image.frombytes("L", (pixels, 1), segment, "packbits", "L")).ravel()


def _values(header: Header) -> Tensor:
    """What each stored pixel means, in the units of the rescale slope and intercept; by all bits that it has."""
    stored = np.arange(1 << header.allocated) & ((1 << header.stored) - 1)
    if header.signed:
        stored = np.where(stored >> (header.stored - 1), stored - (1 << header.stored), stored)
    return stored * header.slope + header.intercept


def _shares(values: Tensor, header: Header, options: Dicom, pixels: Tensor) -> Tensor:
    """Shares of white, 0 to 1, that the values have."""
    if options.window == "range":
        present = _present(values, pixels)
        low, high = float(present.min()), float(present.max())
        shares: Tensor = (values - low) / ((high - low) or 1)
    elif isinstance(options.window, tuple):
        shares = _windowed(values, *options.window, "LINEAR")
    else:
        shares = _windowed(values, *(header.window or (0.0, 1.0)), header.function)
    return shares.clip(0, 1)


def _windowed(values: Tensor, center: float, width: float, function: str) -> Tensor:
    """A window's values as shares from 0 to 1, those outside beyond (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
    shares: Tensor = (values - center) / width
    if function == "SIGMOID":
        shares = 1 / (1 + np.exp((-4 * shares).clip(-_STEEPEST, _STEEPEST)))
    elif function == "LINEAR_EXACT":
        shares += 0.5
    elif width == 1:
        shares = (values > center - 0.5).astype(float)
    else:
        shares = (values - (center - 0.5)) / (width - 1) + 0.5
    return shares


def _present(values: Tensor, pixels: Tensor) -> Tensor:
    """The values that pixels have."""
    found = np.zeros(len(values), dtype=bool)
    for start in range(0, len(pixels), _BLOCK):
        found[pixels[start : start + _BLOCK]] = True
    return values[found]
