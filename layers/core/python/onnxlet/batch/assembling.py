"""Parts put together into one file of output and one of errors, without being copied: each is written to its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.batch.book import RowCounts
from onnxlet.errors import InvalidInputError

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Table
    from onnxlet.batch.parts import Compress, Part, PartBytes

OUTPUT, ERRORS = "output", "errors"
"""The files' names."""


class Offsets(NamedTuple):
    """Where a part's bytes belong."""

    output: int
    errors: int


class Files(NamedTuple):
    """Descriptors of the two files, in whatever process."""

    output: int
    errors: int

    def write(self, offsets: Offsets, data: PartBytes) -> None:
        """Write a part's bytes to their places."""
        _write_all(self.output, data.output, offsets.output)
        _write_all(self.errors, data.errors, offsets.errors)


class Assembly:
    """The output and the errors of a file as they come to be, part by part and in order."""

    def __init__(self, files: Files, compress: Compress | None) -> None:
        self.files = files
        self.rows = RowCounts(0, 0, 0)
        self._compress = compress
        self._heading: bytes | None = None
        self._next = Offsets(0, 0)

    def place(self, part: Part) -> Offsets:
        """Where the next part belongs. Raises InvalidInputError if it has another heading than those before."""
        if part.heading is not None and self._heading is None:
            self._write_heading(part.heading)
        elif part.heading not in {None, self._heading}:
            raise InvalidInputError("the model's outputs vary in size from row to row: score JSON Lines instead of CSV")
        offsets = self._next
        self._next = Offsets(offsets.output + part.output, offsets.errors + part.errors)
        ours, theirs = self.rows, part.rows
        self.rows = RowCounts(ours.read + theirs.read, ours.scored + theirs.scored, ours.errors + theirs.errors)
        return offsets

    def finish(self, table: Table) -> RowCounts:
        """Write what stands at the ends of the output, once all parts are in their places: the rows of the file."""
        if self._heading is None:
            self._write_heading(table.heading())
        self._append(table.ending(self.rows.scored))
        return self.rows

    def _write_heading(self, heading: bytes) -> None:
        self._heading = heading
        self._append(heading)

    def _append(self, data: bytes) -> None:
        if data:
            written = data if self._compress is None else self._compress(data)
            _write_all(self.files.output, written, self._next.output)
            self._next = self._next._replace(output=self._next.output + len(written))


@contextmanager
def open_files(folder: Path) -> Iterator[Files]:
    """The two files in a folder, empty."""
    with (folder / OUTPUT).open("wb", buffering=0) as output, (folder / ERRORS).open("wb", buffering=0) as errors:
        yield Files(output.fileno(), errors.fileno())


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
