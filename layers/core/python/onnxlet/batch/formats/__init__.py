"""File formats: one file per format, one table over them.

`FORMATS` says which module reads and writes files of which suffix. Nothing else knows the formats: a new one is a file
and its line in the table, which may also be appended from outside this package.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.batch.formats.compression import COMPRESSIONS, Compression
from onnxlet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnxlet.batch.formats.chunks import Chunk
    from onnxlet.batch.formats.ports import Place, RowRange, Sink, Source, Table
    from onnxlet.batch.inputs import Inputs
    from onnxlet.batch.planning import Lines


class FileFormat(NamedTuple):
    """A module with `open_table(source, inputs) -> Table`, by its full name, and the suffixes of its files.

    Large files are scored in stretches if it has, for files of lines, `open_lines(source, separator) -> Lines`, or else
    `find_places(table, least) -> list[Place]`. The outputs of stretches are `joined`, or stay files beside each other.
    Files of a format that is `packed` are compressed within, and not as a whole. What is said of a row may be `nested`,
    or has a column for each number. There is damage of which a `fatal` format's reader ends its process.
    """

    module: str
    suffixes: tuple[str, ...]
    joined: bool = True
    packed: bool = False
    nested: bool = False
    fatal: bool = False

    @property
    def has_lines(self) -> bool:
        """Whether rows are found by scanning lines."""
        return hasattr(import_module(self.module), "open_lines")

    @property
    def has_places(self) -> bool:
        """Whether a table knows where its rows are."""
        return hasattr(import_module(self.module), "find_places")

    def open_table(self, source: Source, inputs: Inputs) -> Table:
        """Open a file of rows for a model's inputs. Raises InvalidInputError if it cannot be scored."""
        table: Table = import_module(self.module).open_table(source, inputs)
        return table

    def open_lines(self, source: Source, separator: str) -> Lines:
        """Open a file of lines to scan it."""
        lines: Lines = import_module(self.module).open_lines(source, separator)
        return lines

    def find_places(self, table: Table, least: int) -> list[Place]:
        """Where stretches of at least so many bytes begin, and where the last one ends."""
        places: list[Place] = import_module(self.module).find_places(table, least)
        return places


FORMATS: list[FileFormat] = [
    FileFormat("onnxlet.batch.formats.csv_file", (".csv",)),
    FileFormat("onnxlet.batch.formats.json_lines", (".jsonl", ".ndjson"), nested=True),
    FileFormat("onnxlet.batch.formats.npy", (".npy",)),
    FileFormat("onnxlet.batch.formats.parquet_file", (".parquet", ".pq"), joined=False, packed=True, fatal=True),
]


def read_all(table: Table, sink: Sink, rows: int) -> Iterator[tuple[RowRange, Chunk]]:
    """All chunks of a table, at most `rows` rows at a time, with the ranges that parse and write them."""
    start = table.first
    while True:
        part = table.open_range(start, sink)
        for chunk in part.chunks(rows):
            yield part, chunk
        if part.end.position == start.position:
            return
        start = part.end


class FileType(NamedTuple):
    """What a file's name says of it: its format, and how it is compressed, if it is."""

    format: FileFormat
    compression: Compression | None


def find_type(name: str) -> FileType:
    """The type of the file with this name or key. Raises InvalidInputError for suffixes that are not in the table."""
    path = PurePosixPath(name)
    compression = next((each for each in COMPRESSIONS if each.suffix == path.suffix.lower()), None)
    suffix = path.suffix if compression is None else PurePosixPath(path.stem).suffix
    for format_ in FORMATS:
        if suffix.lower() in format_.suffixes:
            if format_.packed and compression is not None:
                raise InvalidInputError(f"unpack {path.name!r}: {suffix} files are compressed within")
            return FileType(format_, compression)
    compressed = ", ".join(each.suffix for each in COMPRESSIONS)
    *most, last = (suffix for format_ in FORMATS for suffix in format_.suffixes)
    raise InvalidInputError(
        f"{path.name!r} cannot be scored: use {', '.join(most)} or {last} files, compressed ({compressed}) or not"
    )
