"""Sentinels: values that are found wherever they are, in every form that bytes give a text or a number."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

TEXT = "QzSentinelWxyz76"
NUMBER = 7351928460173.25
LENGTH = 16


def forms(text: str = TEXT, number: float = NUMBER) -> dict[str, bytes]:
    """The bytes of the sentinels, by how they were encoded."""
    found = {
        "utf-8": text.encode(),
        "upper": text.upper().encode(),
        "lower": text.lower().encode(),
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "utf-32-le": text.encode("utf-32-le"),
        "utf-32-be": text.encode("utf-32-be"),
        "hex": text.encode().hex().encode(),
        "HEX": text.encode().hex().upper().encode(),
        "reversed": text[::-1].encode(),
        "percent": "".join(f"%{byte:02x}" for byte in text.encode()).encode(),
        "PERCENT": "".join(f"%{byte:02X}" for byte in text.encode()).encode(),
        "json escapes": "".join(f"\\u{ord(character):04x}" for character in text).encode(),
        "python bytes": "".join(f"\\x{byte:02x}" for byte in text.encode()).encode(),
        "character references": "".join(f"&#{ord(character)};" for character in text).encode(),
        "half": text[: LENGTH // 2].encode(),
        "other half": text[LENGTH // 2 :].encode(),
        "number": repr(number).encode(),
        "whole number": str(int(number)).encode(),
        "number, grouped": f"{int(number):,}".encode(),
        "number, scientific": f"{number:.6e}".partition("e")[0].encode(),
        "double": struct.pack("<d", number),
        "double, big-endian": struct.pack(">d", number),
        "float": struct.pack("<f", number),
        "double in hex": struct.pack("<d", number).hex().encode(),
    }
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + text.encode())
        start, end = (offset * 8 + 5) // 6, (offset + len(text)) * 8 // 6
        found[f"base64 at {offset}"] = padded[start:end]
        found[f"base64 at {offset}, for URLs"] = padded[start:end].replace(b"+", b"-").replace(b"/", b"_")
    return found


def leaks(written: Iterable[bytes]) -> list[str]:
    """The forms of the sentinels that are found in what was written, decompressed."""
    searched = [data for each in written for data in unpacked(each)]
    return [name for name, form in forms().items() if any(form in data for data in searched)]


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and what they are when decompressed or when their JSON is read."""
    yield data
    if not data:
        return
    for decompress in (gzip.decompress, zlib.decompress):
        try:
            yield from unpacked(decompress(data))
        except (OSError, EOFError, zlib.error):
            continue
    try:
        yield json.dumps(json.loads(data), ensure_ascii=False).encode("utf-8", "surrogatepass")
    except ValueError:
        return


def files_below(*folders: Path) -> Iterator[bytes]:
    """Names and contents of all files."""
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            yield str(file).encode()
            if file.is_file():
                yield file.read_bytes()
