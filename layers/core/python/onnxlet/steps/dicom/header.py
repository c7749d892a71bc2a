"""What the pixels of a DICOM file are, and how they are shown: read and checked before any is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack

from onnxlet.errors import InvalidInputError
from onnxlet.steps.dicom.elements import FIRST, PIXEL_DATA, UNDEFINED, BrokenFileError, Element, walk, walk_meta

_IMPLICIT, _EXPLICIT, _RLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
_TRANSFER_SYNTAX = 0x00020010
_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLUMNS = 0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011
_ALLOCATED, _STORED, _HIGH_BIT, _SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
_CENTER, _WIDTH, _INTERCEPT, _SLOPE, _FUNCTION = 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056
_MODALITY_TABLE, _WINDOW_TABLE = 0x00283000, 0x00283010
_READ = frozenset(
    {_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLUMNS, _ALLOCATED, _STORED, _HIGH_BIT, _SIGNED}
    | {_CENTER, _WIDTH, _INTERCEPT, _SLOPE, _FUNCTION}
)
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_GRAY = ("MONOCHROME1", "MONOCHROME2")
_DEPTHS = (8, 16)
_LONGEST = 1 << 16
"""Bytes of a value that is read."""
_LARGEST = 1e100
"""Of decimal numbers; what is larger would be infinite further on."""


@dataclass(frozen=True)
class Header:
    """What is said of the pixels; `pixels_at` and `length` tell where they are, `length` UNDEFINED in RLE.

    `has_table`: it has a table of levels beside a window, or in its place.
    """

    rows: int
    columns: int
    allocated: int
    stored: int
    signed: bool
    inverted: bool
    slope: float
    intercept: float
    window: tuple[float, float] | None
    function: str
    has_table: bool
    pixels_at: int
    length: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.rows * self.columns


def read_header(data: bytes, row: int) -> Header:
    """What a file says of its pixels.

    Raises InvalidInputError for what is not read (other compressions, several frames, colors), BrokenFileError or
    struct.error for what is no such file.
    """
    syntax, at = _read_syntax(data, row)
    texts: dict[int, bytes] = {}
    pixels: Element | None = None
    has_table = False
    for element in walk(data, at, explicit=syntax != _IMPLICIT):
        if element.tag == _MODALITY_TABLE:
            raise _refuse(row, "has a table of modality values, which is not read")
        has_table |= element.tag == _WINDOW_TABLE
        if element.tag in _READ and element.length <= _LONGEST:
            texts[element.tag] = data[element.start : element.start + element.length]
        if element.tag == PIXEL_DATA:
            pixels = element
    _check_kind(texts, row)
    if pixels is None:
        raise _refuse(row, "has no pixels that are integers")
    if (syntax == _RLE) != (pixels.length == UNDEFINED):
        raise BrokenFileError("pixels are not written as is said")
    return _header(texts, pixels, row, has_table=has_table)


def _read_syntax(data: bytes, row: int) -> tuple[str, int]:
    """How the elements are written, and where the first stands behind the meta information."""
    at, syntax = FIRST, ""
    for element in walk_meta(data):
        at = element.start + element.length
        if element.tag == _TRANSFER_SYNTAX:
            syntax = _text(data[element.start : at])
    if syntax not in (_IMPLICIT, _EXPLICIT, _RLE):
        raise _refuse(row, "is compressed, or big-endian: write it uncompressed and little-endian, or in RLE")
    return syntax, at


def _check_kind(values: dict[int, bytes], row: int) -> None:
    if int(_text(values.get(_FRAMES, b"")) or 1) != 1:
        raise _refuse(row, "has several frames: send the one that is meant")
    if _number(values, _SAMPLES) != 1 or _text(values[_PHOTOMETRIC]) not in _GRAY:
        raise _refuse(row, "has colors, and only grayscale is read")
    if _number(values, _ALLOCATED) not in _DEPTHS:
        raise _refuse(row, "has neither 8 nor 16 bits for a pixel")


def _header(values: dict[int, bytes], pixels: Element, row: int, *, has_table: bool) -> Header:
    stored, allocated = _number(values, _STORED), _number(values, _ALLOCATED)
    rows, columns = _number(values, _ROWS), _number(values, _COLUMNS)
    if not (0 < stored <= allocated and _number(values, _HIGH_BIT) == stored - 1 and rows and columns):
        raise BrokenFileError("bits or sides that cannot be")
    function = _text(values.get(_FUNCTION, b"")) or "LINEAR"
    if function not in _FUNCTIONS:
        raise _refuse(row, "has a window of an unknown function")
    return Header(
        rows,
        columns,
        allocated,
        stored,
        bool(_number(values, _SIGNED)),
        _text(values[_PHOTOMETRIC]) == "MONOCHROME1",
        _decimal(values, _SLOPE, 1.0),
        _decimal(values, _INTERCEPT, 0.0),
        _window(values, function),
        function,
        has_table,
        pixels.start,
        pixels.length,
    )


def _window(values: dict[int, bytes], function: str) -> tuple[float, float] | None:
    if not (values.get(_CENTER) and values.get(_WIDTH)):
        return None
    center, width = _decimal(values, _CENTER, 0.0), _decimal(values, _WIDTH, 0.0)
    if width < 1 if function == "LINEAR" else width <= 0:
        raise BrokenFileError("a window without a width")
    return center, width


def _number(values: dict[int, bytes], tag: int) -> int:
    """An unsigned short. Raises BrokenFileError where it lacks."""
    if tag not in values:
        raise BrokenFileError("a value that pixels need is missing")
    (number,) = unpack("<H", values[tag])
    return int(number)


def _decimal(values: dict[int, bytes], tag: int, default: float) -> float:
    """The first of some decimal numbers in ASCII."""
    text = _text(values.get(tag, b"")).partition("\\")[0]
    number = float(text) if text else default
    if not abs(number) <= _LARGEST:
        raise BrokenFileError("a number that measures nothing")
    return number


def _text(value: bytes) -> str:
    return value.decode("ascii").strip(" \0")


def _refuse(row: int, what: str) -> InvalidInputError:
    return InvalidInputError(f"picture {row} is a DICOM file that {what}", row=row)
