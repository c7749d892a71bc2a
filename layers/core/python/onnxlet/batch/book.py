"""The batch manifest: what became of one file. Written last, so that whoever finds it finds all it names."""

from __future__ import annotations

from typing import Literal

import msgspec

from onnxlet.values.canonical import canonical

SCHEMA = 1


class Source(msgspec.Struct, frozen=True):
    """The file that was read, as it was: its key or path, digest, size in bytes, and ETag if it lay in a store."""

    key: str
    digest: str
    size: int
    etag: str | None = None


class Written(msgspec.Struct, frozen=True):
    """A file that was written."""

    key: str
    digest: str
    size: int
    rows: int


class Rows(msgspec.Struct, frozen=True):
    """How many rows were read, scored, and set aside as errors: read = scored + errors."""

    read: int
    scored: int
    errors: int


class Scorer(msgspec.Struct, frozen=True):
    """The version that answered: `digest` is its manifest's; `alias` led to it; `fallback` says that it stood in for
    the version the alias routes to, which failed its golden cases.
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


class BatchManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file: scored by whom into what, or failed and why. Times are RFC 3339 in UTC."""

    schema: int = SCHEMA
    state: Literal["scored", "failed"]
    ref: str
    started: str
    finished: str
    source: Source | None = None
    scorer: Scorer | None = None
    rows: Rows | None = None
    outputs: tuple[Written, ...] = ()
    failure: Failure | None = None


_decoder = msgspec.json.Decoder(BatchManifest)


def encode_report(report: BatchManifest) -> bytes:
    """The batch manifest as canonical JSON."""
    return canonical(report)


def decode_report(data: bytes) -> BatchManifest:
    """Read a batch manifest that `encode_report` wrote."""
    return _decoder.decode(data)
