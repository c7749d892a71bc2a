"""File formats: one file per format, one table over them.

`FORMATS` says which module reads and writes files of which suffix. Nothing else knows the formats: a new one is a file
and its line in the table, which may also be appended from outside this package.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.errors import InvalidInputError

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import RowFile, Sink, Source
    from onnxlet.batch.inputs import Inputs

GZIP = ".gz"


class FileFormat(NamedTuple):
    """A module with `open_file(source, sink, inputs) -> RowFile`, by its full name, and the suffixes of its files."""

    module: str
    suffixes: tuple[str, ...]

    def open_file(self, source: Source, sink: Sink, inputs: Inputs) -> RowFile:
        """Open a file of rows for a model's inputs; what is scored is written to `sink`.

        Raises InvalidInputError if the file cannot be scored.
        """
        file: RowFile = import_module(self.module).open_file(source, sink, inputs)
        return file


FORMATS: list[FileFormat] = [
    FileFormat("onnxlet.batch.formats.csv_file", (".csv",)),
    FileFormat("onnxlet.batch.formats.json_lines", (".jsonl", ".ndjson")),
]


class FileType(NamedTuple):
    """What a file's name says of it: its format, and whether it is compressed by gzip."""

    format: FileFormat
    gzipped: bool


def find_type(name: str) -> FileType:
    """The type of the file with this name or key. Raises InvalidInputError for suffixes that are not in the table."""
    path = PurePosixPath(name)
    gzipped = path.suffix.lower() == GZIP
    suffix = PurePosixPath(path.stem).suffix if gzipped else path.suffix
    for format_ in FORMATS:
        if suffix.lower() in format_.suffixes:
            return FileType(format_, gzipped)
    *most, last = (suffix for format_ in FORMATS for suffix in format_.suffixes)
    raise InvalidInputError(
        f"{path.name!r} cannot be scored: use {', '.join(most)} or {last} files, gzipped ({GZIP}) or not"
    )
