"""CSV text → rows, as Python's csv module has them: the one judge of what a row is, and why it is none.

The quick ways of reading CSV come to the same rows, or leave them to it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

FIELD_BYTES = csv.field_size_limit()
"""The longest cell: a quote that is not closed swallows no more of the rows behind it."""


class CsvRow(NamedTuple):
    """A row's bytes without its line's end, its cells, or why it has none, and how many bytes it is with its end."""

    raw: bytes
    cells: list[str] | str
    size: int


def read_rows(take_line: Callable[[], bytes]) -> Iterator[CsvRow]:
    """Rows from lines as they are asked for; no line is taken beyond a row's own. Blank lines are no rows.

    Of a row that is no CSV the lines up to the fault are gone, and what stands behind them is read anew.
    """
    taken: list[bytes] = []

    def decode_lines() -> Iterator[str]:
        while line := take_line():
            taken.append(line)
            yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(decode_lines(), strict=True)
    while True:
        taken.clear()
        try:
            cells: list[str] | str | None = next(reader, None)
        except csv.Error as error:
            cells = f"not CSV: {error}"
        if cells is None:
            return
        if cells:
            whole = b"".join(taken)
            yield CsvRow(whole.rstrip(b"\r\n"), cells, len(whole))


def read_row(raw: bytes) -> list[str] | str:
    """The cells of one row's bytes, or why it has none."""
    return next(read_rows(io.BytesIO(raw).readline)).cells


def find_fault(cells: list[str] | str, width: int) -> str | None:
    """Why cells are no row of a table so wide, if they are none."""
    if isinstance(cells, str):
        return cells
    if len(cells) != width:
        return f"has {len(cells)} cells where the header has {width}"
    return None if is_utf_8(cells) else "not UTF-8"


def is_utf_8(cells: Iterable[str]) -> bool:
    """Whether the bytes of cells that were decoded with `surrogateescape` are text."""
    text = "".join(cells)
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
