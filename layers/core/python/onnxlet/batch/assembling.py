"""Parts put together into one file of output and one of errors, without being copied: each is written to its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.batch.book import RowCounts
from onnxlet.batch.formats.ports import Note
from onnxlet.errors import InvalidInputError
from onnxlet.monitor.sketch import SketchDocument, add_documents
from onnxlet.values.digests import RunningDigest

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Place, Table
    from onnxlet.batch.journal import Journal
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


class Digests(NamedTuple):
    """Those of the two files."""

    output: str
    errors: str


class Assembly:
    """The output and the errors of a file as they come to be, part by part and in order."""

    def __init__(self, files: Files, compress: Compress | None, journal: Journal | None = None) -> None:
        self.files = files
        self._journal = journal
        self.rows = RowCounts(0, 0, 0)
        self.counted: SketchDocument | None = None
        self.compress = compress
        self._heading: bytes | None = None
        self._next = Offsets(0, 0)
        self._notes: list[Note] = []
        self._written = 0
        self._digest = RunningDigest(files.output)

    def place(self, part: Part) -> Offsets:
        """Where the next part belongs. Raises InvalidInputError if it has another heading than those before."""
        if part.heading is not None and self._heading is None:
            self._write_heading(part.heading)
        elif part.heading not in {None, self._heading}:
            raise InvalidInputError("the model's outputs vary in size from row to row: score JSON Lines instead of CSV")
        offsets = self._next
        if part.told:
            self._notes.append(Note(offsets.output, part.told))
        self._next = Offsets(offsets.output + part.output, offsets.errors + part.errors)
        ours, theirs = self.rows, part.rows
        if part.counted is not None:
            self.counted = part.counted if self.counted is None else add_documents(self.counted, part.counted)
        self.rows = RowCounts(ours.read + theirs.read, ours.scored + theirs.scored, ours.errors + theirs.errors)
        return offsets

    def close(self, part: Part) -> None:
        """Take note that the next part is in its place."""
        self._written += part.output
        if self._journal is not None:
            self._journal.append(part)

    def resume(self, start: Place) -> Place:
        """Where to begin, if the table's first range begins at a place: behind the parts that the journal has."""
        for part in self._journal.parts if self._journal is not None else ():
            self.place(part)
            self._written += part.output
            start = part.end
        return start

    def prepare(self) -> bool:
        """Do some of the work that `finish` has, in a few milliseconds; False if there is none now."""
        return self._digest.advance(self._written)

    def finish(self, table: Table) -> tuple[RowCounts, Digests]:
        """Write what stands at the ends of the output, once all parts are in their places: the rows of the file."""
        if self._heading is None:
            self._write_heading(table.heading())
        self._append(table.ending(self.rows.scored, self._notes))
        self._seal(table)
        output, errors = self._next
        os.truncate(self.files.output, output)
        os.truncate(self.files.errors, errors)
        return self.rows, Digests(self._digest.finish(output), RunningDigest(self.files.errors).finish(errors))

    def _write_heading(self, heading: bytes) -> None:
        self._heading = heading
        self._append(heading)

    def _seal(self, table: Table) -> None:
        assert self._heading is not None  # noqa: S101 - it is written
        sealed = table.seal(self._heading, self.rows.scored)
        if sealed == self._heading:
            return
        if self.compress is not None:
            raise InvalidInputError("such files are not written compressed: name an output without the suffix for it")
        _write_all(self.files.output, sealed, 0)
        self._digest = RunningDigest(self.files.output)

    def _append(self, data: bytes) -> None:
        if data:
            written = data if self.compress is None else self.compress(data)
            _write_all(self.files.output, written, self._next.output)
            self._next = self._next._replace(output=self._next.output + len(written))
            self._written += len(written)


@contextmanager
def open_files(folder: Path) -> Iterator[Files]:
    """The two files in a folder, with what they have if they are there."""
    with (folder / OUTPUT).open("ab", buffering=0), (folder / ERRORS).open("ab", buffering=0):
        pass
    with (folder / OUTPUT).open("r+b", buffering=0) as output, (folder / ERRORS).open("r+b", buffering=0) as errors:
        yield Files(output.fileno(), errors.fileno())


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
