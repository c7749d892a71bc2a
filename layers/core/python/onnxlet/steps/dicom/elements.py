"""The elements of a DICOM file (PS3.5, section 7), found one by one without reading what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from
from typing import NamedTuple

MOST_ELEMENTS = 65_536
"""Of a file, those within sequences of undefined length counted too."""
MOST_NESTED = 16
"""Sequences of undefined length within each other."""
UNDEFINED = 0xFFFFFFFF
"""The length of what ends where a delimiter stands."""
FIRST = 132
"""Where the elements begin: behind the preamble and `DICM`."""
PIXEL_DATA = 0x7FE00010

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations whose length has four bytes."""
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_UNKNOWN = b"UN"


class BrokenFileError(Exception):
    """The file is not what it says; the words are for who reads the code."""


class Element(NamedTuple):
    """One element: where its value starts, and how many bytes it has, or `UNDEFINED`."""

    tag: int
    start: int
    length: int
    representation: bytes = b""


def walk_meta(data: bytes) -> Iterator[Element]:
    """The elements of the file's meta information, which has a group and an encoding of its own."""
    at = FIRST
    while data[at : at + 2] == b"\x02\x00":
        element = _element_at(data, at, explicit=True)
        at = _end_of(element, data)
        yield element


def walk(data: bytes, at: int, *, explicit: bool) -> Iterator[Element]:
    """The outermost elements from `at` on, up to the pixels. Raises BrokenFileError, struct.error at the file's end."""
    encodings = [explicit]
    for _ in range(MOST_ELEMENTS):
        if at == len(data) and len(encodings) == 1:
            return
        element = _element_at(data, at, explicit=encodings[-1])
        if len(encodings) == 1:
            yield element
            if element.tag >= PIXEL_DATA:
                return
        if element.tag == _SEQUENCE_END:
            encodings.pop()
            at = element.start
        elif element.length != UNDEFINED:
            at = _end_of(element, data)
        elif element.tag == _ITEM:
            at = element.start
        else:
            # what is unknown is written as it would be without representations (PS3.5, 6.2.2)
            encodings.append(encodings[-1] and element.representation != _UNKNOWN)
            at = element.start
        if not 1 <= len(encodings) <= MOST_NESTED:
            raise BrokenFileError("sequences do not end as they began")
    raise BrokenFileError("too many elements")


def read_fragments(data: bytes, at: int) -> bytes:
    """Compressed pixels: the items behind the first, which holds offsets. Raises BrokenFileError, struct.error."""
    items: list[bytes] = []
    for _ in range(MOST_ELEMENTS):
        element = _element_at(data, at, explicit=False)
        if element.tag == _SEQUENCE_END:
            return b"".join(items[1:])
        if element.tag != _ITEM:
            raise BrokenFileError("no item")
        at = _end_of(element, data)
        items.append(data[element.start : at])
    raise BrokenFileError("too many items")


def _element_at(data: bytes, at: int, *, explicit: bool) -> Element:
    group, number = unpack_from("<HH", data, at)
    tag = group << 16 | number
    # items and delimiters have no representation in either encoding
    if not explicit or tag in (_ITEM, _ITEM_END, _SEQUENCE_END):
        return Element(tag, at + 8, unpack_from("<I", data, at + 4)[0])
    representation = data[at + 4 : at + 6]
    if representation in _LONG:
        return Element(tag, at + 12, unpack_from("<I", data, at + 8)[0], representation)
    if representation not in _SHORT:
        raise BrokenFileError("no such representation")
    return Element(tag, at + 8, unpack_from("<H", data, at + 6)[0], representation)


def _end_of(element: Element, data: bytes) -> int:
    end = element.start + element.length
    if end > len(data):
        raise BrokenFileError("a value goes beyond the end of the file")
    return end
