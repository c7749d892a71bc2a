"""The bad rows of a file that was scored, taken out of it by the places that `.errors.jsonl` names.

Rows of CSV end where Python's csv module ends them, which judged them bad.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from onnxlet.errors import ConflictError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.registry.parallel import map_parallel

if TYPE_CHECKING:
    from onnxlet.jobs.orders import Order
    from onnxlet.store import Store

ROW_BYTES = 1024 * 1024
"""A bad row that is scored again has no more bytes."""
MOST_ROWS_BYTES = 8 * 1024
"""Most have no more."""
_BOM = b"\xef\xbb\xbf"
_CSV = ".csv"
_LINES = frozenset({_CSV, ".jsonl", ".ndjson"})


def has_places(key: str) -> bool:
    """Whether the rows of a file of this name lie in it as they are: lines, and not compressed."""
    return PurePosixPath(key).suffix.lower() in _LINES


def take_rows(store: Store, order: Order, etag: str | None, separator: str, places: list[int]) -> bytes:
    """The heading of an order's file, if it has one, and the rows that begin at these places.

    Raises ConflictError if the file is not the one with this ETag, or a row is too long.
    """
    suffix = PurePosixPath(order.key).suffix.lower()
    if suffix == _CSV and order.columns is None:
        places = [0, *places]

    def take(place: int) -> bytes:
        for size in (MOST_ROWS_BYTES, ROW_BYTES):
            data = bytes(store.get_range(order.key, place, size, etag=etag))
            row = _cut_table_row(data, separator) if suffix == _CSV else data[: data.find(b"\n") + 1] or data
            if len(row) < len(data) or len(data) < size:
                return row if row.endswith(b"\n") else row + b"\n"
        raise ConflictError(f"a bad row of {order.key!r} has more than {ROW_BYTES:,} bytes: upload it by itself")

    try:
        return b"".join(map_parallel(take, places))
    except (ObjectNotFoundError, PreconditionFailedError) as error:
        raise ConflictError(
            f"{order.key!r} is not the file any more that was scored: upload its bad rows by themselves"
        ) from error


def _cut_table_row(data: bytes, separator: str) -> bytes:
    """The first row, with blank lines before it: up to the fault if it is no CSV."""
    taken: list[bytes] = []

    def decode_lines() -> Iterator[str]:
        for line in io.BytesIO(data.removeprefix(_BOM)):
            taken.append(line)
            yield line.decode("utf-8", "surrogateescape")

    with suppress(csv.Error):
        next((cells for cells in csv.reader(decode_lines(), strict=True, delimiter=separator) if cells), None)
    return (_BOM if data.startswith(_BOM) else b"") + b"".join(taken)
