"""Parquet's pages, which arro3 reads and writes: row groups of a file → batches of Arrow arrays, and back.

arro3 reads whole files. So it is shown one that has the row groups that are wanted and no others: the file's bytes up
to its footer, where pages are read from as ever, and behind them a footer of those row groups alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.batch.formats.parquet_footer import MAGIC, Footer, RowGroup, check_group, cut_footer
from onnxlet.errors import InvalidInputError, MissingExtraError, OnnxletError

try:
    from arro3.core import RecordBatchReader
    from arro3.io import read_parquet, write_parquet
except ImportError as error:
    raise MissingExtraError(
        "Parquet files need the extra tabular: pip install 'onnxlet[tabular]'", extra="tabular"
    ) from error

if TYPE_CHECKING:
    from arro3.core import RecordBatch, Schema

    from onnxlet.batch.formats.ports import Source

WRITE_ROWS = 16384
"""Rows of a column that are encoded together."""
_ALL_ROWS = 2**62


class Encoding(NamedTuple):
    """How columns are written: by which codec, as arro3 calls it, and which leaves of them with a dictionary."""

    codec: str
    dictionaries: dict[str | Sequence[str], bool]


class Written(NamedTuple):
    """A row group as it was written: its pages, and the footer of the file of which it was all."""

    pages: memoryview
    footer: Footer


def read_schema(source: Source, footer: Footer) -> Schema:
    """The columns of a file, as Arrow has them. Raises InvalidInputError."""
    file = _PresentedFile(source, footer, ())
    with _errors_translated(file):
        return read_parquet(file).schema  # type: ignore[arg-type] # what it needs of a file


def read_batches(source: Source, footer: Footer, groups: Sequence[RowGroup], rows: int) -> Iterator[RecordBatch]:
    """The rows of row groups, so many at a time. Raises InvalidInputError."""
    for group in groups:
        check_group(group, footer.start)
    file = _PresentedFile(source, footer, groups)
    with _errors_translated(file):
        reader = read_parquet(file, batch_size=rows)  # type: ignore[arg-type] # as above
    while True:
        with _errors_translated(file):
            batch = next(reader, None)
        if batch is None:
            return
        yield batch


def write_batches(schema: Schema, batches: Sequence[RecordBatch], encoding: Encoding) -> Written:
    """Batches as one row group."""
    file = io.BytesIO()
    write_parquet(
        RecordBatchReader.from_batches(schema, batches),
        file,
        compression=encoding.codec,
        dictionary_enabled=False,
        column_dictionary_enabled=encoding.dictionaries,
        max_row_group_size=_ALL_ROWS,
        write_batch_size=WRITE_ROWS,
    )
    data = file.getbuffer()
    footer = cut_footer(data)
    pages = sum(group.packed for group in footer.groups)
    return Written(data[len(MAGIC) : len(MAGIC) + pages], footer)


class _PresentedFile(io.RawIOBase):
    """A file that has some of the row groups of another one. What the source raises is kept as `error`."""

    def __init__(self, source: Source, footer: Footer, groups: Sequence[RowGroup]) -> None:
        self.error: OnnxletError | None = None
        self._source = source
        self._pages = footer.start
        self._end = footer.with_groups(groups)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._pages + len(self._end)}
        self._position = bases[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        behind = self._position - self._pages
        if behind >= 0:
            data = self._end[behind : None if size < 0 else behind + size]
        else:
            try:
                data = bytes(self._source.read(self._position, -behind if size < 0 else min(size, -behind)))
            except OnnxletError as error:
                self.error = error
                raise
        self._position += len(data)
        return data


@contextmanager
def _errors_translated(file: _PresentedFile) -> Iterator[None]:
    """Raises InvalidInputError for what is no Parquet, which Rust panics of at times, and what the source raised."""
    try:
        yield
    except BaseException as error:
        if file.error is not None:
            raise file.error from error
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise InvalidInputError("the file's pages are damaged, or written in a way that is not read") from error
        raise
