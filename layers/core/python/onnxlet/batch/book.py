"""A file's book: what became of one file. Written last, so that whoever finds it finds all that it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from onnxlet.errors import OnnxletError
from onnxlet.values.canonical import canonical
from onnxlet.values.refs import Ref
from onnxlet.values.timestamps import format_timestamp, utc_now

SCHEMA = 1
COMMA = ","


class SourceFile(msgspec.Struct, frozen=True):
    """The file that was read, as it was: its key or path, digest and size in bytes.

    If it lay in a store also its ETag, and the id of its version where the store keeps versions.
    """

    key: str
    digest: str
    size: int
    etag: str | None = None
    version: str | None = None

    @property
    def identity(self) -> str:
        """What tells this upload from others of the same key: its version's id, or its ETag where there is none."""
        return f"version:{self.version}" if self.version else f"etag:{self.etag}"


class OutputFile(msgspec.Struct, frozen=True):
    """A file that was written; `size` is in bytes; the ETag is that in a store."""

    key: str
    digest: str
    size: int
    rows: int
    etag: str | None = None


class RowCounts(msgspec.Struct, frozen=True):
    """How many rows were read, scored, and set aside as errors: read = scored + errors."""

    read: int
    scored: int
    errors: int


class BookedPart(msgspec.Struct, frozen=True):
    """A part of a file that was scored in sections: its first row, rows, and the digests of its bytes.

    The input's are those from `start` to `end` where rows are lines; the output's are one behind the other under the
    heading, `size` of them.
    """

    row: int
    rows: RowCounts
    start: int
    end: int
    input: str | None
    size: int
    output: str | None


class Scorer(msgspec.Struct, frozen=True):
    """The version that answered: `digest` is its manifest's; `alias` led to it; `fallback` says that it stood in for
    the version the alias routes to, which was refused.
    """

    model: str
    version: int
    digest: str
    alias: str | None = None
    fallback: bool = False


class Failure(msgspec.Struct, frozen=True):
    """Why a file as a whole was not scored."""

    type: str
    detail: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file: scored by whom into what, or failed and why. Times are RFC 3339 in UTC.

    A file none of whose rows could be scored has failed, and the only output is the errors. A file that was scored in
    sections has `parts`, digests of their digests, one a line, and the digest of its `options`. Where rows are
    explained, `explained` holds for all of them: method, output, unit, expected values, background.
    """

    schema: int = SCHEMA
    state: Literal["scored", "failed"]
    ref: str
    started: str
    finished: str
    source: SourceFile | None = None
    scorer: Scorer | None = None
    rows: RowCounts | None = None
    outputs: tuple[OutputFile, ...] = ()
    failure: Failure | None = None
    parts: tuple[BookedPart, ...] | msgspec.UnsetType = msgspec.UNSET
    explained: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    separator: str | msgspec.UnsetType = msgspec.UNSET
    options: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(slots=True)
class OpenBook:
    """A book whose file is being scored: what is known so far."""

    ref: Ref
    started: str = field(default_factory=lambda: format_timestamp(utc_now()))
    source: SourceFile | None = None
    scorer: Scorer | None = None
    parts: tuple[BookedPart, ...] = ()
    explained: dict[str, Any] | None = None
    separator: str = COMMA
    options: str | None = None

    def close_scored(self, rows: RowCounts, outputs: tuple[OutputFile, ...]) -> Book:
        """The book of a file that was scored."""
        return self._close("scored", rows=rows, outputs=outputs)

    def close_failed(
        self, error: OnnxletError, rows: RowCounts | None = None, outputs: tuple[OutputFile, ...] = ()
    ) -> Book:
        """The book of a file that could not be; rows and outputs if it was read to its end."""
        failure = Failure(type(error).__name__, error.detail)
        return self._close("failed", rows=rows, outputs=outputs, failure=failure)

    def _close(
        self,
        state: Literal["scored", "failed"],
        *,
        rows: RowCounts | None = None,
        outputs: tuple[OutputFile, ...] = (),
        failure: Failure | None = None,
    ) -> Book:
        return Book(
            state=state,
            ref=str(self.ref),
            started=self.started,
            finished=format_timestamp(utc_now()),
            source=self.source,
            scorer=self.scorer,
            rows=rows,
            outputs=outputs,
            failure=failure,
            parts=self.parts or msgspec.UNSET,
            explained=self.explained or msgspec.UNSET,
            separator=msgspec.UNSET if self.separator == COMMA else self.separator,
            options=self.options or msgspec.UNSET,
        )


_decoder = msgspec.json.Decoder(Book)


def encode_book(book: Book) -> bytes:
    """A book as canonical JSON."""
    return canonical(book)


def decode_book(data: bytes) -> Book:
    """Read a book that `encode_book` wrote."""
    return _decoder.decode(data)
