"""Which files can be scored: CSV and JSON Lines by their names, either gzipped."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from onnxlet.batch.formats.chunks import LINE_BYTES
from onnxlet.errors import InvalidInputError

KINDS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file's name says of it: `csv` or `jsonl`, gzipped or not."""

    kind: str
    gzipped: bool

    def reader(self, stream: BinaryIO) -> BinaryIO:
        """The rows' bytes."""
        return cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb")) if self.gzipped else stream

    def writer(self, stream: BinaryIO) -> BinaryIO:
        """Where to write rows; gzip gets no time stamp, so that equal rows make equal files."""
        if not self.gzipped:
            return stream
        return cast("BinaryIO", gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=6, mtime=0))


def kind_of(name: str) -> FileKind:
    """What the file of this name or key holds. Raises InvalidInputError for names that say nothing known."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    gzipped = suffixes[-1:] == [".gz"]
    suffix = suffixes[-2 if gzipped else -1] if len(suffixes) > gzipped else ""
    if suffix not in KINDS:
        name = PurePosixPath(name).name
        raise InvalidInputError(f"{name!r} cannot be scored: use .csv, .jsonl or .ndjson files, gzipped (.gz) or not")
    return FileKind(KINDS[suffix], gzipped)


def lines(stream: BinaryIO) -> Iterator[bytes]:
    """The stream's lines, without a byte order mark. Raises InvalidInputError for endless lines and broken gzip."""
    first = True
    try:
        while line := stream.readline(LINE_BYTES + 1):
            if len(line) > LINE_BYTES:
                raise InvalidInputError(f"a line is longer than {LINE_BYTES // 2**20} MiB: this is no file of rows")
            yield line.removeprefix(b"\xef\xbb\xbf") if first else line
            first = False
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidInputError(f"the file's gzip compression is broken: {error}") from error
