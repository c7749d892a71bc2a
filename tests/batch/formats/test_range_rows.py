"""Ranges of few rows, for models that take long for each: the rows are those of larger ranges, whatever is in them."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.batch.formats import find_type
from onnxlet.batch.formats.chunks import CHUNK_ROWS
from onnxlet.batch.formats.csv_numbers import FEW_ROWS
from onnxlet.batch.inputs import Inputs
from onnxlet.steps import Column
from onnxlet.values.signature import TensorSpec

INPUTS = Inputs(
    "columns", (TensorSpec("text", "BYTES", (-1,)),), (), (Column("text", "BYTES"),), titles={}, rows_at_once=2
)
CSV_LINES = ["1,plain", '2,"two\nlines"', '3,"a, b"', '4,"say ""no"""', "", "5", '6,ope"n', "7,x\r", '"8","y"']
JSON_LINES = ['{"text":"plain"}', ' {"text":"a"} ', "", "{}", "[1]", '{"text":"b","id":7}']


@dataclass(frozen=True)
class Held:
    """A file in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, length: int) -> bytes:
        return self.data[start : start + length]


def read_ranges(name: str, content: bytes, most: int | None) -> list[list[Any]]:
    """Of each range its rows: number, content, fault, and where it begins."""
    table = find_type(name).format.open_table(Held(content), replace(INPUTS, range_rows=most))
    ranges: list[list[Any]] = []
    start = table.first
    while True:
        rows = table.open_range(start, io.BytesIO())
        found: list[Any] = []
        for chunk in rows.chunks(CHUNK_ROWS):
            good = zip(chunk.numbers, chunk.rows, strict=True)
            found += [(number, row, None, chunk.locate(number)) for number, row in good]
            found += [(bad.row, None, bad.error, chunk.locate(bad.row)) for bad in chunk.bad]
        if rows.end.position == start.position:
            return ranges
        ranges.append(sorted(found, key=lambda row: row[0]))
        start = rows.end


@pytest.mark.parametrize(("name", "lines", "head"), [("a.csv", CSV_LINES, "id,text\n"), ("a.jsonl", JSON_LINES, "")])
@given(data=st.data())
def test_ranges_of_few_rows_have_the_rows_of_one_that_has_all(
    data: st.DataObject, name: str, lines: list[str], head: str
) -> None:
    content = (head + "\n".join(data.draw(st.lists(st.sampled_from(lines), max_size=40)))).encode()
    most = data.draw(st.integers(1, 7))
    whole, parts = read_ranges(name, content, None), read_ranges(name, content, most)
    assert [row for part in parts for row in part] == [row for part in whole for row in part]
    # what must be judged line by line comes so many lines at once
    assert all(len(part) <= max(most, FEW_ROWS) for part in parts)
    if '"' not in content.decode():
        assert all(len(part) <= most for part in parts)
