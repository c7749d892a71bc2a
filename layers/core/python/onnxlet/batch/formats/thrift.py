"""Thrift's compact protocol, in which Parquet describes its files: values of any structure, read and written.

A structure is a dictionary of its fields by their numbers, and knows nothing of their names. Format:
github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
"""The kinds of values."""
MOST_LEVELS = 32
"""Structures and lists within each other, beyond which bytes are nobody's document."""
_LONG = 15
"""Stands for a list's size that does not fit beside the kind of its values."""
_LONGEST = 63
"""Bits of a number before its last byte, at most."""


class ThriftError(ValueError):
    """These bytes are no structure."""


class Field(NamedTuple):
    """A value and its kind."""

    kind: int
    value: Any


class Items(NamedTuple):
    """The values of a list, all of one kind."""

    kind: int
    values: list[Any]


Struct = dict[int, Field]


class Reader:
    """Reads values of bytes from a position on. Raises ThriftError for what is none."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self._level = 0

    def read(self, kind: int) -> Any:  # noqa: ANN401 - whatever it is
        """A value of a kind."""
        if kind in {I32, I64, I16}:
            number = self.read_size()
            return number >> 1 ^ -(number & 1)
        if kind == BINARY:
            return self._take(self.read_size())
        if kind == STRUCT:
            return self._read_struct()
        if kind in {LIST, SET}:
            return self._read_list()
        if kind in {TRUE, FALSE, BYTE}:
            return self._take(1)[0]
        if kind == DOUBLE:
            return self._take(8)
        raise ThriftError(f"values of kind {kind} are not read")

    def read_field(self, last: int) -> tuple[int, int] | None:
        """Number and kind of the field behind that with the number `last`; None at the end of the structure."""
        byte = self._take(1)[0]
        if byte == 0:
            return None
        return last + (byte >> 4) if byte >> 4 else self.read(I16), byte & 15

    def read_list_opening(self) -> tuple[int, int]:
        """The kind of a list's values, and how many there are."""
        byte = self._take(1)[0]
        size = self.read_size() if byte >> 4 == _LONG else byte >> 4
        self._check(size)
        return byte & 15, size

    def read_size(self) -> int:
        """A number that is never negative."""
        number = shift = 0
        while (byte := self._take(1)[0]) > 127:  # noqa: PLR2004 - seven bits, and that more follow
            number |= (byte & 127) << shift
            shift += 7
            if shift > _LONGEST:
                raise ThriftError("a number is too long")
        return number | byte << shift

    def skip(self, kind: int) -> None:
        """Go behind a value, in a tenth of the time that reading it takes."""
        try:
            self.position = _skip(kind, self.data, self.position)
        except (IndexError, RecursionError) as error:
            raise ThriftError("it breaks off, or lies too deep within itself") from error
        self._check(0)

    def _read_struct(self) -> Struct:
        self._descend()
        fields: Struct = {}
        number = 0
        while (opening := self.read_field(number)) is not None:
            number, kind = opening
            # the kind of a field that is true or false is its value
            fields[number] = Field(kind, None if kind in {TRUE, FALSE} else self.read(kind))
        self._level -= 1
        return fields

    def _read_list(self) -> Items:
        self._descend()
        kind, size = self.read_list_opening()
        values = [self.read(kind) for _ in range(size)]
        self._level -= 1
        return Items(kind, values)

    def _descend(self) -> None:
        self._level += 1
        if self._level > MOST_LEVELS:
            raise ThriftError("structures lie too deep within each other")

    def _take(self, size: int) -> bytes:
        self._check(size)
        self.position += size
        return self.data[self.position - size : self.position]

    def _check(self, size: int) -> None:
        if size > len(self.data) - self.position:
            raise ThriftError("it breaks off")


def _skip_struct(data: bytes, position: int) -> int:
    """Where a structure ends. Raises IndexError if it does not."""
    while opening := data[position]:
        position += 1
        if opening <= _LONG:
            position = _skip_number(data, position)
        position = _skip(opening & 15, data, position) if opening & 15 > FALSE else position
    return position + 1


def _skip(kind: int, data: bytes, position: int) -> int:
    if kind in {I32, I64, I16}:
        return _skip_number(data, position)
    if kind == STRUCT:
        return _skip_struct(data, position)
    if kind == BINARY:
        size, position = _read_size(data, position)
        return position + size
    if kind in {LIST, SET}:
        opening, position = data[position], position + 1
        size, position = (opening >> 4, position) if opening >> 4 < _LONG else _read_size(data, position)
        for _ in range(size):
            position = _skip(opening & 15, data, position)
        return position
    if kind in {TRUE, FALSE, BYTE, DOUBLE}:
        return position + (8 if kind == DOUBLE else 1)
    raise ThriftError(f"values of kind {kind} are not read")


def _skip_number(data: bytes, position: int) -> int:
    while data[position] > 127:  # noqa: PLR2004 - more follow
        position += 1
    return position + 1


def _read_size(data: bytes, position: int) -> tuple[int, int]:
    reader = Reader(data, position)
    return (data[position], position + 1) if data[position] < 128 else (reader.read_size(), reader.position)  # noqa: PLR2004


def write_struct(fields: Struct) -> bytes:
    """A structure as bytes."""
    parts, last = [], 0
    for number, (kind, value) in sorted(fields.items()):
        parts += [write_field(kind, number - last), b"" if kind in {TRUE, FALSE} else write(kind, value)]
        last = number
    return b"".join((*parts, b"\0"))


def write_field(kind: int, step: int) -> bytes:
    """What stands before a field's value: its kind, and its number's step from that of the field before."""
    if not 0 < step <= _LONG:
        raise ThriftError(f"a field is {step} behind the one before it")
    return bytes([step << 4 | kind])


def write_list(kind: int, values: Iterable[bytes]) -> bytes:
    """A list of values that are bytes already."""
    written = list(values)
    size = len(written)
    opening = bytes([size << 4 | kind]) if size < _LONG else bytes([_LONG << 4 | kind]) + write_size(size)
    return b"".join((opening, *written))


def write_size(number: int) -> bytes:
    """A number that is never negative."""
    written = bytearray()
    while number > 127:  # noqa: PLR2004 - as above
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)


def write(kind: int, value: Any) -> bytes:  # noqa: ANN401 - whatever it is
    """A value of a kind, as `Reader.read` gives it."""
    if kind in {I16, I32, I64}:
        return write_size(value << 1 ^ value >> 63)
    if kind == BINARY:
        return b"".join((write_size(len(value)), value))
    if kind == STRUCT:
        return write_struct(value)
    if kind in {LIST, SET}:
        return write_list(value.kind, (write(value.kind, each) for each in value.values))
    if kind == DOUBLE:
        return bytes(value)
    return bytes([value])
