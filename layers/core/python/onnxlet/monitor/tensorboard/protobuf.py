"""The wire format of Protocol Buffers, as far as events need it.

Source: "Encoding" of the Protocol Buffers documentation. A field is its number and wire type, then its value; a message
is its fields one after the other, so `+` puts messages together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_MORE, _LOW = 0x80, 0x7F


def varint(number: int, value: int) -> bytes:
    """A field of an integer from 0 on, a truth value or an enumeration's member."""
    return _integer(number << 3 | _VARINT) + _integer(value)


def double(number: int, value: float) -> bytes:
    """A field of a 64-bit float."""
    return _integer(number << 3 | _DOUBLE) + struct.pack("<d", value)


def single(number: int, value: float) -> bytes:
    """A field of a 32-bit float."""
    return _integer(number << 3 | _FLOAT) + struct.pack("<f", value)


def data(number: int, value: bytes | str) -> bytes:
    """A field of a text, bytes or a message."""
    encoded = value.encode() if isinstance(value, str) else value
    return _integer(number << 3 | _BYTES) + _integer(len(encoded)) + encoded


def doubles(number: int, values: Iterable[float]) -> bytes:
    """A repeated field of 64-bit floats, packed."""
    return data(number, b"".join(struct.pack("<d", value) for value in values))


def _integer(value: int) -> bytes:
    encoded = bytearray()
    while value > _LOW:
        encoded.append(value & _LOW | _MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
