"""Whether anything holds a name: every object of a store, as it lies there, decompressed, and in other encodings."""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

from onnxlet.store import Store

_LETTERS = re.compile(rb"[A-Za-z]+")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{22,}")


def find_names(store: Store, names: Iterable[str], more: Iterable[tuple[str, bytes]] = ()) -> list[tuple[str, str]]:
    """Which key (or which of `more`) holds which of the names, all of one length, in capitals or not."""
    known = {name.encode() for name in names}
    (length,) = {len(name) for name in known}
    objects = ((entry.key, store.get(entry.key).data) for entry in store.list(""))
    return sorted(
        {
            (place, window.decode())
            for place, data in (*objects, *more)
            for layer in _layers(data)
            for window in _windows(layer, length)
            if window in known
        }
    )


def _windows(data: bytes, length: int) -> Iterator[bytes]:
    for run in _LETTERS.finditer(data):
        letters = run.group().upper()
        yield from (letters[start : start + length] for start in range(len(letters) - length + 1))


def _layers(data: bytes) -> Iterator[bytes]:
    """The bytes, without the zeros of UTF-16 and 32, what hexadecimal and base64 parts say, and what was compressed."""
    if not data:  # which is what gzip makes of it, without end
        return
    yield data
    yield data.replace(b"\0", b"")
    for part in _HEX.findall(data):
        yield binascii.unhexlify(part)
    for part in _BASE64.findall(data):
        for start in range(4):
            body = part[start:].replace(b"-", b"+").replace(b"_", b"/")
            with suppress(binascii.Error):
                yield base64.b64decode(body[: len(body) // 4 * 4])
    with suppress(OSError, EOFError, zlib.error):
        yield from _layers(gzip.decompress(data))
