"""What a file is that was taken for CSV in UTF-8 with commas, guessed from its bytes: words for messages."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Sequence

_UTF_16 = "it seems to be in UTF-16: save it in UTF-8"
_OPENINGS = {
    BOM_UTF16_LE: _UTF_16,
    BOM_UTF16_BE: _UTF_16,
    b"PK\x03\x04": "it seems to be a workbook or a zip archive: save its rows as CSV",
    b"PAR1": "it seems to be Parquet: save its rows as CSV",
    b"\x1f\x8b": "it seems to be compressed by gzip: unpack it",
}
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def sniff_encoding(data: bytes) -> str | None:
    """What bytes seem to be that are no text in UTF-8; None if they are."""
    zeros = b"\0" in data
    if not zeros and _is_utf_8(data):
        return None
    for opening, guess in _OPENINGS.items():
        if data.startswith(opening):
            return guess
    if zeros:
        # in UTF-16 every other byte of plain words is zero
        return _UTF_16 if any(not any(half) for half in (data[:1000:2], data[1:1000:2])) else "it seems to be no text"
    return "it seems to be in another encoding, such as Windows-1252: save it in UTF-8"


def sniff_separator(header: Sequence[str], rows: Iterable[str] = ()) -> str | None:
    """What seems to separate the cells of a header without a comma, and as often those of `rows`; None if nothing."""
    separator = find_separator(header, rows)
    return None if separator is None else f"its cells seem to be separated by {SEPARATORS[separator]}: use commas"


def find_separator(header: Sequence[str], rows: Iterable[str] = ()) -> str | None:
    """That separator itself."""
    if len(header) != 1:
        return None
    for separator in SEPARATORS:
        count = header[0].count(separator)
        if count and all(row.count(separator) == count for row in rows):
            return separator
    return None


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
