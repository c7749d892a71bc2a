"""What stands at the end of a Parquet file: its footer, taken apart into row groups and put together of some of them.

A footer is a structure whose one field lists the row groups; what stands before and behind that list is kept as its
bytes, so that the footer of chosen row groups, of this file or moved to another place, is a footer like this one.
Format: parquet.apache.org/docs/file-format/metadata and parquet-format's parquet.thrift, which numbers the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.batch.formats import thrift
from onnxlet.batch.formats.thrift import I64, LIST, STRUCT, Field, Reader, Struct, ThriftError
from onnxlet.errors import InvalidInputError

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Source

MAGIC, ENCRYPTED_MAGIC = b"PAR1", b"PARE"
TAIL_BYTES = 8
"""A file ends with its footer's size, in four bytes, and the magic."""
GUESS_BYTES = 64 * 1024
"""So much of a file's end is read at once: many footers are no longer."""

_NUM_ROWS, _ROW_GROUPS = 3, 4
"""Fields of a footer."""
_COLUMNS, _SIZE, _GROUP_ROWS, _FILE_OFFSET, _PACKED_SIZE, _ORDINAL = 1, 2, 3, 5, 6, 7
"""Fields of a row group."""
_CHUNK_OFFSET, _META_DATA = 2, 3
_CHUNK_INDEXES = (4, 5, 6, 7)
"""Fields of a column chunk: those of its indexes tell where in the file more about its pages stands."""
_TYPE, _PATH, _CODEC, _DICTIONARY_PAGE = 1, 3, 4, 11
_FLOATS = (4, 5)
"""Types of values that hardly ever repeat, whatever their writer hoped for."""
_PACKED, _DATA_PAGE = 7, 9
_PAGES = (_DATA_PAGE, 10, _DICTIONARY_PAGE)
"""Where its pages begin."""
_BLOOM_FILTER = (14, 15)
"""Fields of a column chunk's metadata."""

CODECS = ("uncompressed", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4_raw")
"""By their numbers."""


class RowGroup(NamedTuple):
    """A row group as its bytes in a footer; its rows, and their bytes before and after compression."""

    data: bytes
    rows: int
    size: int
    packed: int


class Footer(NamedTuple):
    """A footer: what stands before the number of rows, the row groups, what stands behind them; where it begins."""

    before: bytes
    groups: list[RowGroup]
    behind: bytes
    start: int

    def with_groups(self, groups: Sequence[RowGroup]) -> bytes:
        """The end of a file that has these row groups and is else like this one."""
        rows = sum(group.rows for group in groups)
        footer = b"".join(
            (
                self.before,
                thrift.write_field(I64, 1),
                thrift.write(I64, rows),
                thrift.write_field(LIST, 1),
                thrift.write_list(STRUCT, (group.data for group in groups)),
                self.behind,
            )
        )
        return footer + len(footer).to_bytes(4, "little") + MAGIC


class Column(NamedTuple):
    """A column chunk of a row group: the path to it, its codec, and whether a dictionary is of use for it."""

    path: tuple[str, ...]
    codec: str
    dictionary: bool


def read_footer(source: Source) -> Footer:
    """Read the footer of a file. Raises InvalidInputError if it has none."""
    size = source.size
    tail = bytes(source.read(max(0, size - GUESS_BYTES), GUESS_BYTES))
    if not size:
        raise InvalidInputError("the file is empty: Parquet ends with a footer that says what it holds")
    if tail.endswith(ENCRYPTED_MAGIC):
        raise InvalidInputError("the file is encrypted: write it without encryption")
    if len(tail) < TAIL_BYTES or not tail.endswith(MAGIC):
        raise InvalidInputError("the file is no Parquet, or breaks off: it does not end as Parquet does")
    length = int.from_bytes(tail[-TAIL_BYTES : -len(MAGIC)], "little") + TAIL_BYTES
    if length > size - len(MAGIC):
        raise InvalidInputError("the file is no Parquet, or damaged: its footer would be larger than the file")
    if length > len(tail):
        tail = bytes(source.read(size - length, length))
    try:
        return _parse(tail[-length:-TAIL_BYTES], size - length)
    except ThriftError as error:
        raise InvalidInputError(f"the file's footer is damaged: {error}") from error


def cut_footer(data: memoryview) -> Footer:
    """The footer of a file that was just written."""
    size = int.from_bytes(data[-TAIL_BYTES : -len(MAGIC)], "little")
    start = len(data) - TAIL_BYTES - size
    return _parse(bytes(data[start:-TAIL_BYTES]), start)


def read_columns(group: RowGroup) -> list[Column]:
    """The column chunks of a row group. Raises InvalidInputError if it does not tell of them."""
    columns = []
    try:
        for chunk in _read_struct(group.data)[_COLUMNS].value.values:
            facts: Struct = chunk[_META_DATA].value
            path = tuple(part.decode("utf-8", "replace") for part in facts[_PATH].value.values)
            repeats = _DICTIONARY_PAGE in facts and facts[_TYPE].value not in _FLOATS
            columns.append(Column(path, CODECS[facts[_CODEC].value], repeats))
    except (ThriftError, LookupError, AttributeError, TypeError) as error:
        raise InvalidInputError("the file's footer is damaged: it does not say how columns are written") from error
    return columns


def check_group(group: RowGroup, pages: int) -> None:
    """Raises InvalidInputError if pages of a row group would stand elsewhere than in a file's first so many bytes.

    arro3 ends the process of whoever reads such a one.
    """
    try:
        for chunk in _read_struct(group.data)[_COLUMNS].value.values:
            facts: Struct = chunk[_META_DATA].value
            start = min(facts[number].value for number in (_DATA_PAGE, _DICTIONARY_PAGE) if number in facts)
            if not len(MAGIC) <= start <= start + facts[_PACKED].value <= pages:
                raise InvalidInputError("the file's footer is damaged: there are no pages where it says")
    except (ThriftError, LookupError, AttributeError, TypeError, ValueError) as error:
        raise InvalidInputError("the file's footer is damaged: it does not say where pages are") from error


def parse_group(data: bytes) -> RowGroup:
    """A row group of its bytes."""
    return _read_group(Reader(data))


def move_group(data: bytes, distance: int) -> bytes:
    """A row group whose pages stand that many bytes further on. What tells of other places than theirs is left out."""
    group = _read_struct(data)
    for chunk in group[_COLUMNS].value.values:
        for number in (_CHUNK_OFFSET, *_CHUNK_INDEXES):
            chunk.pop(number, None)
        chunk[_CHUNK_OFFSET] = Field(I64, 0)  # nobody reads it, and all want it to be there
        facts = chunk[_META_DATA].value
        for number in _BLOOM_FILTER:
            facts.pop(number, None)
        _move(facts, _PAGES, distance)
    group.pop(_ORDINAL, None)
    _move(group, (_FILE_OFFSET,), distance)
    return thrift.write_struct(group)


def _move(fields: Struct, numbers: Iterable[int], distance: int) -> None:
    for number in numbers:
        if number in fields:
            fields[number] = Field(I64, fields[number].value + distance)


def _parse(data: bytes, start: int) -> Footer:
    """Raises ThriftError for what is no footer."""
    reader = Reader(data)
    before, rows, groups = b"", -1, None
    number = position = 0
    while (opening := reader.read_field(number)) is not None:
        number, kind = opening
        if (number, kind) == (_NUM_ROWS, I64):
            before, rows = data[:position], reader.read(I64)
        elif (number, kind) == (_ROW_GROUPS, LIST):
            _, size = reader.read_list_opening()
            groups = [_read_group(reader) for _ in range(size)]
            break
        else:
            if kind > thrift.FALSE:
                reader.skip(kind)
            position = reader.position
    if groups is None or sum(group.rows for group in groups) != rows or any(group.rows < 0 for group in groups):
        raise ThriftError("its row groups are not all there")
    return Footer(before, groups, data[reader.position :], start)


def _read_group(reader: Reader) -> RowGroup:
    start, number = reader.position, 0
    facts = {_GROUP_ROWS: -1, _SIZE: 0, _PACKED_SIZE: 0}
    while (opening := reader.read_field(number)) is not None:
        number, kind = opening
        if number in facts and kind == I64:
            facts[number] = reader.read(I64)
        elif kind > thrift.FALSE:
            reader.skip(kind)
    return RowGroup(reader.data[start : reader.position], *facts.values())


def _read_struct(data: bytes) -> Struct:
    fields: Struct = Reader(data).read(STRUCT)
    return fields
