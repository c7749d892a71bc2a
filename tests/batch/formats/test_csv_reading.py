"""CSV that is read quickly: rows, tensors and faults are those that Python's csv module gives, row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from onnxlet.batch.formats import blocks, read_all
from onnxlet.batch.formats.cells import Empty, parse_text, read_column
from onnxlet.batch.formats.csv_file import open_table
from onnxlet.batch.inputs import Inputs
from onnxlet.batch.sources import BytesSource
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import TensorSpec


class Read(NamedTuple):
    """What came of a file: the bits of its good rows by their numbers, the faults of the others, rows' own cells."""

    rows: dict[int, tuple[bytes | str, ...]]
    faults: dict[int, tuple[str, str | None]]
    cells: dict[int, list[str]]


def _inputs(columns: Sequence[Column]) -> Inputs:
    specs = tuple(TensorSpec(column.name, column.datatype, (-1,)) for column in columns)
    return Inputs("columns", specs, (), tuple(columns), {}, None)


_COMMAS = bytes.maketrans(b";\t|\x01", b",,,,")
"""Whatever the separator, rows have commas."""


def _bits(value: object) -> bytes | str:
    return value if isinstance(value, str) else np.asarray(value).tobytes()


def _read_quickly(data: bytes, columns: Sequence[Column], block: int, rows: int, range_: int = 2**20) -> Read:
    read = Read({}, {}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", block)
        patch.setattr(blocks, "RANGE_BYTES", range_)
        table = open_table(BytesSource(data), _inputs(columns))
        for part, chunk in read_all(table, io.BytesIO(), rows):
            assert len(chunk.rows) + len(chunk.bad) <= rows
            for number, row in zip(chunk.numbers, chunk.rows, strict=True):
                start = chunk.locate(number)
                assert start is not None
                assert data[start : start + len(row)].translate(_COMMAS) == row.translate(_COMMAS)
            parsed = part.parse(chunk)
            for bad in (*chunk.bad, *parsed.bad):
                assert bad.row not in read.faults
                read.faults[bad.row] = (bad.error, bad.column)
            for batch in parsed.batches:
                assert list(batch.positions) == sorted(batch.positions)
                for place, position in enumerate(batch.positions):
                    number = chunk.numbers[position]
                    assert number not in read.rows
                    read.rows[number] = tuple(_bits(batch.inputs[column.name][place]) for column in columns)
                    read.cells[number] = next(csv.reader(_lines(chunk.rows[position]), strict=True))
    return read


def _lines(data: bytes) -> Iterator[str]:
    for line in io.BytesIO(data):
        yield line.decode("utf-8", "surrogateescape")


def _read_slowly(data: bytes, columns: Sequence[Column], separator: str = ",") -> Read:
    """One row after the other, by Python's csv module and the cells' own reading."""
    read = Read({}, {}, {})
    reader = csv.reader(_lines(data.removeprefix(b"\xef\xbb\xbf")), delimiter=separator, strict=True)
    header = [name.strip() for name in next(reader)]
    number = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            number += 1
            read.faults[number] = (f"not CSV: {error}", None)
            continue
        if cells is None:
            return read
        if not cells:
            continue
        number += 1
        fault = _find_fault(cells, header)
        if fault is None:
            values = []
            for column in columns:
                cell = cells[header.index(column.name)] if column.name in header else Empty.ABSENT
                tensor, faults = read_column(
                    [cell], DATATYPES[column.datatype], parse_text, missing=column.filler(), absent=column.default
                )
                if faults:
                    fault = (faults[0], column.name)
                    break
                values.append(_bits(tensor[0]))
        if fault is None:
            read.rows[number] = tuple(values)
            read.cells[number] = cells
        else:
            read.faults[number] = fault


def _find_fault(cells: list[str], header: list[str]) -> tuple[str, str | None] | None:
    if len(cells) != len(header):
        return f"has {len(cells)} cells where the header has {len(header)}", None
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return "not UTF-8", None
    return None


FP32 = [Column(name, "FP32") for name in "abc"]
MISSING = [Column(name, "FP32", missing=True) for name in "abc"]
MIXED = [
    Column("c", "FP64", default=7.5),
    Column("a", "FP32", missing=True),
    Column("i", "INT64"),
    Column("t", "BYTES", missing=True),
    Column("absent", "FP32", default=-1.5),
]
NARROW = [Column("b", "UINT8"), Column("a", "FP16"), Column("c", "INT32", default=3), Column("f", "BOOL")]
TABLES = [
    ("a,b,c", FP32),
    ("a,b,c", MISSING),
    ("c,a,b", MISSING),
    ("id,a,b,c", FP32),
    ("a,b,c,note", FP32),
    ("a,x,b,y,z,c", MISSING),
    ("i,c,t,a", MIXED),
    ("t,id,a,c,i,note", MIXED),
    ("a,b,c,f", NARROW),
    ("a", [Column("a", "FP32", missing=True)]),
]

TRAPS = [
    *("", "0", "-0", "-0.0", "1", "007", "+1", ".5", "5.", "-.5", "1e39", "-1e39", "1e400", "1e308", "1e307", "10e306"),
    *("3.4028235e38", "3.4028234663852886e38", "9007199254740993", "9007199254740992", "9223372036854775807"),
    *("9223372036854775808", "18446744073709551615", "18446744073709551616", "1" * 40, "1e-400", "5e-324", "1e-0"),
    *(
        "1_000",
        "\N{FULLWIDTH DIGIT ONE}",
        "[1]",
        "[1",
        "2]",
        "[]",
        "{}",
        '{"a":1}',
        "true",
        "null",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
    ),
    *(
        " 1",
        "1 ",
        "\t1\t",
        " ",
        "1 2",
        "\x00",
        "1\x00",
        "\x0b1",
        "\xa01",
        '""',
        '"1"',
        '" 1"',
        '"1,5"',
        '"1\n"',
        '"1\n2"',
    ),
    *(
        '"a""b"',
        '"x, y"',
        '"two\nlines"',
        '"crlf\r\nin"',
        "a\rb",
        "\r",
        '5"',
        '"2"x',
        '"',
        'a"b"c',
        "é",
        "ünï",
        "x" * 20,
    ),
    *("3.0", "1.5", "1e3", "65504", "70000", "255", "256", "-1", "TRUE", "1.0", "2,3", ",", "'1'", "\ufeff1"),
]

LINE_ENDS = ["\n", "\r\n", "\n\n", "\r\r\n", "\r\n\r\n", " \n", "\r"]

plain_cells = st.one_of(st.floats(width=32).map(repr), st.integers(-300, 300).map(str), st.sampled_from(["", "0.5"]))
cells = st.one_of(plain_cells, st.sampled_from(TRAPS), st.text(max_size=4))


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[Column]]:
    """A file for one of the tables, from clean to hopeless; then some of its bytes are flipped."""
    header, columns = draw(st.sampled_from(TABLES))
    width = header.count(",") + 1
    each = draw(st.sampled_from([plain_cells, cells]))
    widths = st.sampled_from([width] * 12 + [width - 1, width + 1])
    rows = draw(st.lists(widths.flatmap(lambda size: st.lists(each, min_size=size, max_size=size)), max_size=12))
    ends = st.just("\n") if draw(st.booleans()) else st.sampled_from(LINE_ENDS)
    text = header + draw(st.sampled_from(["\n", "\r\n"])) + "".join(",".join(row) + draw(ends) for row in rows)
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    data = bytearray(draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode("utf-8", "surrogatepass"))
    first = data.find(b"\n") + 1
    if first and len(data) > first:
        for place, value in draw(
            st.lists(st.tuples(st.integers(first, len(data) - 1), st.integers(0, 255)), max_size=3)
        ):
            data[place] = value
    return bytes(data), columns


@settings(max_examples=300, deadline=None)
@given(
    files(),
    st.sampled_from([1, 7, 30, 100, 10_000]),
    st.sampled_from([1, 2, 5, 1000]),
    st.sampled_from([1, 13, 50, 2**20]),
)
def test_whatever_the_bytes_the_blocks_and_the_ranges_a_file_is_read_as_row_by_row(
    file: tuple[bytes, list[Column]], block: int, rows: int, range_: int
) -> None:
    data, columns = file
    assert _read_quickly(data, columns, block, rows, range_) == _read_slowly(data, columns)


@settings(max_examples=150, deadline=None)
@given(files(), st.sampled_from([1, 30, 10_000]), st.sampled_from([13, 2**20]), st.sampled_from(";\t|"))
def test_with_other_separators_a_file_is_read_as_row_by_row(
    file: tuple[bytes, list[Column]], block: int, range_: int, separator: str
) -> None:
    data, columns = file
    assume(b"," in data.split(b"\n")[0] and b"\x01" not in data)
    data = data.translate(bytes.maketrans(f",{separator}".encode(), f"{separator},".encode()))
    slow = _read_slowly(data, columns, separator)
    with suppress(InvalidInputError):  # of decimal commas
        quick = _read_quickly(data, columns, block, 1000, range_)
        # the cells of rows are as they are between commas
        assert (quick.rows, quick.faults) == (slow.rows, slow.faults)


@pytest.mark.parametrize(("header", "columns"), TABLES)
def test_each_trap_in_each_column_costs_no_other_row_and_is_judged_as_it_is_alone(
    header: str, columns: list[Column]
) -> None:
    names = header.split(",")
    good = {"t": "text", "note": "a note", "id": "p-007", "f": "true"}
    rows = [[good.get(name, "1") for name in names]]
    for trap in TRAPS:
        for place in range(len(names)):
            rows += [[trap if at == place else good.get(name, "2.0") for at, name in enumerate(names)], rows[0]]
    data = "\n".join(",".join(row) for row in [names, *rows]).encode()
    slow = _read_slowly(data, columns)
    for block in (1, 1000, 2**20):
        assert _read_quickly(data, columns, block, 1000) == slow


def test_a_lone_carriage_return_ends_a_row_though_quotes_behind_it_hold_a_line_feed() -> None:
    data = b'a,b,c\n1,2,3\n1,2\r3,"x\n"\n4,5,6\n"7","8","9"\n'
    assert _read_quickly(data, FP32, 2**20, 1000) == _read_slowly(data, FP32)


@pytest.mark.parametrize("end", [1e308, 1e307, 1.0])
@pytest.mark.parametrize("cells_", [(2, 4), (4, 2), (2, 3, 4), (1, 5), (3, 6)])
def test_rows_of_other_widths_do_not_make_up_for_each_other(cells_: tuple[int, ...], end: float) -> None:
    rows = [",".join([str(end)] * count) for count in cells_]
    data = "\n".join(["a,b,c", "1,2,3", *rows, "4,5,6"]).encode()
    for columns in (FP32, MISSING):
        assert _read_quickly(data, columns, 2**20, 1000) == _read_slowly(data, columns)


@example(["1", "2", '"open', "3"], 131_072)
@given(
    st.lists(st.sampled_from(["1", '"', "x", '""', '"a"', "\n"]), min_size=1, max_size=6), st.integers(131_060, 131_080)
)
@settings(max_examples=5, deadline=None)
def test_quotes_that_are_not_closed_swallow_no_more_than_they_do_row_by_row(pieces: list[str], size: int) -> None:
    filling = "y\n" * (size // 2)
    data = "a,note\n1,x\n1," + filling.join(pieces) + "\n2,z\n"
    columns = [Column("a", "FP32")]
    slow = _read_slowly(data.encode(), columns)
    assert _read_quickly(data.encode(), columns, 2**18, 1024) == slow


def test_a_cell_longer_than_the_longest_is_bad_however_it_is_read() -> None:
    for width in (131_072, 131_073):
        for row in (f"1,{'x' * width}", f"0.{'1' * (width - 2)},2"):
            data = f"a,b\n1,2\n{row}\n3,4\n".encode()
            columns = [Column("a", "FP32")]
            assert _read_quickly(data, columns, 2**20, 100) == _read_slowly(data, columns)


NOTES = [
    "",
    "plain",
    '"a note"',
    '"a, b"',
    '"say ""x"""',
    '"""',
    '""',
    '""""',
    '","',
    '"x,"',
    '",x"',
    '"two\nlines"',
    "é",
    '"ü"',
]


@pytest.mark.parametrize("header", ["id,a,b,c,note", "id,key,a,b,c", "a,b,c,note", "a,b,c,x,note", "id,c,b,a,x,y"])
def test_texts_at_the_edges_are_cut_off_where_they_end(header: str) -> None:
    names = header.split(",")
    rows = []
    for note in NOTES:
        for place, name in enumerate(names):
            if name not in "abc":
                row = [f"{at}" if name in "abc" else note if at == place else "x" for at, name in enumerate(names)]
                rows += [row, row[1:], row[:-1], [*row, "1"], [note, *row]]
    for kept in (rows, [row for row in rows if not any('""' in cell for cell in row)], [["1"] * 3, ["1"] * 4]):
        data = "\n".join(",".join(row) for row in [names, *kept]).encode()
        for columns in (FP32, MISSING):
            assert _read_quickly(data, columns, 2**20, 1000) == _read_slowly(data, columns)
            # and each row without the others
            for row in kept:
                alone = f"{header}\n{','.join(row)}\n".encode()
                assert _read_quickly(alone, columns, 2**20, 1000) == _read_slowly(alone, columns)


@pytest.mark.parametrize(
    "data", ["id,a\n5\n", "id,a\nx,1\n5\n", 'id,a,note\nx,"5"\n', 'id,a,note\nx,"5"\n"5"\nx,1,"y"\n']
)
def test_a_row_that_lacks_its_first_or_last_cell_has_no_number_in_its_place(data: str) -> None:
    for columns in ([Column("a", "FP32")], [Column("a", "FP32", missing=True)]):
        for rows in (data, *(f"{data.split(maxsplit=1)[0]}\n{row}\n" for row in data.split()[1:])):
            assert _read_quickly(rows.encode(), columns, 2**20, 100) == _read_slowly(rows.encode(), columns)
