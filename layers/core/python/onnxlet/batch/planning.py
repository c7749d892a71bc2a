"""Where a large file of lines may be cut: stretches of whole lines are scanned apart, and the scans composed.

A line feed may stand within quotes, and whether it does depends on all that stands before it. So a stretch is scanned
under both hypotheses, that a row begins with it and that it begins within quotes, and the stretch before says which of
them holds. Scans of neighbours make the scan of both: whoever scans may do it block by block, and in any grouping.

What is found is what reading from the first byte to the last finds. Where that is not certain, because quotes stay open
for longer than a cell may be, no cut is made any more, and the last range holds the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import islice
from typing import NamedTuple

from onnxlet.batch.formats.csv_blocks import cut_rows
from onnxlet.batch.formats.csv_numbers import FEW_ROWS
from onnxlet.batch.formats.csv_rows import FIELD_BYTES, CsvRow, read_rows
from onnxlet.batch.formats.ports import Place, Source

_SPECIAL = (b'"', b"\r", b"\n\n")
"""What makes rows others than lines."""
END_OF_DATA = "not CSV: unexpected end of data"
"""What a row's fault is where quotes are open at the end."""


class Passage(NamedTuple):
    """A stretch under one hypothesis.

    `head` are the bytes of the row that was open when it began, all of them if that is open still; `rows` begin behind
    them. If quotes are `open` at the end it is in a row of which the last `tail` bytes are.
    """

    head: int
    rows: int
    tail: int = 0
    open: bool = False
    certain: bool = True


class Scan(NamedTuple):
    """A stretch of so many bytes, if a row begins with it, and if it begins within quotes."""

    size: int
    outside: Passage
    inside: Passage


Scanner = Callable[[bytes], Scan]
"""Scans whole lines."""


class Lines(NamedTuple):
    """A file of lines: its bytes as its rows are read from them, and what scans them."""

    source: Source
    scan: Scanner


def scan_csv(lines: bytes) -> Scan:
    """Scan lines of CSV."""
    outside = _count_rows(lines)
    first = _read_open(lines) if b'"' in lines else None
    if first is None or first.cells == END_OF_DATA:
        size = len(lines)
        return Scan(size, outside, Passage(size, 0, size, open=True, certain=size <= FIELD_BYTES))
    head = first.size - 1
    return Scan(len(lines), outside, _count_rows(lines[head:])._replace(head=head, certain=head <= FIELD_BYTES))


def scan_json_lines(lines: bytes) -> Scan:
    """Scan lines of JSON: no row has two of them."""
    rows = sum(not line.isspace() for line in lines.splitlines(keepends=True) if line)
    passage = Passage(0, rows)
    return Scan(len(lines), passage, passage)


def compose(first: Scan, second: Scan) -> Scan:
    """The scan of two stretches of which the second follows the first."""
    return Scan(
        first.size + second.size,
        _compose(first.outside, first.size, second),
        _compose(first.inside, first.size, second),
    )


def plan_ranges(start: Place, scans: Iterable[Scan], least: int) -> list[Place]:
    """Where ranges of at least so many bytes may begin, if the first row does at `start`, and there the first scan."""
    places = [start]
    position, row, done = start.position, start.row, Scan(0, Passage(0, 0), Passage(0, 0, open=True))
    for scan in scans:
        passage = scan.inside if done.outside.open else scan.outside
        begins = Place(position + passage.head, row)
        done = compose(done, scan)
        if not done.outside.certain:
            break
        if passage.rows and begins.position - places[-1].position >= least:
            places.append(begins)
        position, row = position + scan.size, row + passage.rows
    return places


def _compose(passage: Passage, size: int, second: Scan) -> Passage:
    following = second.inside if passage.open else second.outside
    throughout = passage.open and following.open and following.head == second.size
    return Passage(
        head=size + following.head if passage.open and passage.head == size else passage.head,
        rows=passage.rows + following.rows,
        tail=passage.tail + following.tail if throughout else following.tail,
        open=following.open,
        certain=passage.certain
        and following.certain
        and (not passage.open or passage.tail + following.head <= FIELD_BYTES),
    )


def _count_rows(lines: bytes) -> Passage:
    """The rows of lines with the first of which a row begins."""
    if not lines.startswith(b"\n") and not any(special in lines for special in _SPECIAL):
        return Passage(0, lines.count(b"\n") + (not lines.endswith(b"\n") and bool(lines)))
    rows = position = 0
    while position < len(lines):
        found, size = cut_rows(lines[position:])
        rows, position = rows + len(found), position + size
        if size:
            continue
        rest = BytesIO(lines)
        rest.seek(position)
        for row in islice(read_rows(rest.readline), FEW_ROWS):
            rows, position = rows + 1, rest.tell()
            if row.cells == END_OF_DATA and position == len(lines):
                return Passage(0, rows, row.size, open=True)
        position = rest.tell()
    return Passage(0, rows)


def _read_open(lines: bytes) -> CsvRow:
    """The row of which lines are what follows an opening quote; it has that quote too."""
    return next(read_rows(BytesIO(b'"' + lines).readline))
