"""Reading what was captured: objects by model, version and day, and the rows in them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from onnxlet.errors import IntegrityError, NotFoundError, ObjectNotFoundError
from onnxlet.monitor.capture.policy import CapturePolicy, policy_of
from onnxlet.registry.parallel import map_parallel
from onnxlet.registry.reading import lookup
from onnxlet.store import Store
from onnxlet.telemetry import log
from onnxlet.values.keys import ANY_VERSION, CAPTURE, capture_prefix

AT_ONCE = 64
"""Objects whose rows are held at once."""
_PARTS = 4


class CaptureObject(msgspec.Struct, frozen=True):
    """One object: the rows that one process captured of one day. `version` is None where the policy drops it."""

    key: str
    model: str
    version: int | None
    day: str
    size: int


class CapturedRow(msgspec.Struct, frozen=True):
    """One row as it was captured."""

    row: int
    columns: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    id: str | None = None
    version: int | None = None
    time: str | None = None


_rows = msgspec.json.Decoder(CapturedRow)


def list_captures(
    store: Store, model: str = "", version: int | None = None, *, since: str = ""
) -> Iterator[CaptureObject]:
    """The objects of a version, of a model or of all, from the day `since` (`2026-11-01`) on, in the order of keys."""
    prefix = CAPTURE if not model else capture_prefix(model, version) if version is not None else f"{CAPTURE}{model}/"
    for entry in store.list(prefix):
        parts = entry.key.removeprefix(CAPTURE).split("/")
        if len(parts) == _PARTS and (parts[1].isdecimal() or parts[1] == ANY_VERSION) and parts[2] >= since:
            number = int(parts[1]) if parts[1].isdecimal() else None
            yield CaptureObject(entry.key, parts[0], number, parts[2], entry.size)


def captured_versions(store: Store, model: str) -> list[int]:
    """The versions of a model of which rows were captured under their number, in order."""
    return sorted({each.version for each in list_captures(store, model) if each.version is not None})


def unpack(data: bytes, key: str) -> list[bytes]:
    """The lines of an object. Raises IntegrityError if it is no gzip."""
    try:
        return zlib.decompress(data, wbits=31).splitlines(keepends=True)
    except zlib.error as error:
        raise IntegrityError(f"{key!r} holds no captured rows: {error}", key=key) from error


def pack(lines: list[bytes]) -> bytes:
    """The bytes of an object; of equal lines equal ones."""
    gzip = zlib.compressobj(wbits=31)
    return gzip.compress(b"".join(lines)) + gzip.flush()


def read_rows(store: Store, objects: Iterable[CaptureObject]) -> Iterator[tuple[CaptureObject, list[CapturedRow]]]:
    """Objects with their rows, some read at once. Those that were removed meanwhile have none, nor have those that are
    no such objects, which is logged.
    """
    waiting = iter(objects)
    while some := list(islice(waiting, AT_ONCE)):
        yield from zip(some, map_parallel(partial(_read_object, store), some), strict=True)


def _read_object(store: Store, each: CaptureObject) -> list[CapturedRow]:
    try:
        return [decode_row(line, each.key) for line in unpack(store.get(each.key).data, each.key)]
    except ObjectNotFoundError:
        return []
    except IntegrityError as error:
        log(__name__).warning("%s", error.detail)
        return []


def decode_row(line: bytes, key: str) -> CapturedRow:
    """One line. Raises IntegrityError."""
    try:
        return _rows.decode(line)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{key!r} holds a line that is no captured row: {error}", key=key) from error


def read_published_policy(store: Store, model: str, version: int) -> CapturePolicy | None:
    """The policy of a version; None if it has none, or is no more."""
    try:
        manifest, _ = lookup.manifest(store, model, version)
    except NotFoundError:
        return None
    return policy_of(manifest.policy)
