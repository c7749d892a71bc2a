"""JSON Lines that are read quickly: rows, tensors and faults are those that orjson and the cells give, line by line."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlet.batch.formats import blocks, read_all
from onnxlet.batch.formats.cells import Empty, parse_json, read_column
from onnxlet.batch.formats.json_lines import open_table
from onnxlet.batch.inputs import Inputs
from onnxlet.batch.sources import BytesSource
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import TensorSpec

MARK = b"\xef\xbb\xbf"


class Read(NamedTuple):
    """What came of a file: the bits of its good rows by their numbers, the faults of the others, rows' own values."""

    rows: dict[int, tuple[bytes | str, ...]]
    faults: dict[int, tuple[str, str | None]]
    values: dict[int, str]


def _bits(value: object) -> bytes | str:
    return value if isinstance(value, str) else np.asarray(value).tobytes()


def _read_quickly(data: bytes, inputs: Inputs, block: int, rows: int, range_: int = 2**20) -> Read:
    read = Read({}, {}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", block)
        patch.setattr(blocks, "RANGE_BYTES", range_)
        table = open_table(BytesSource(data), inputs)
        for part, chunk in read_all(table, io.BytesIO(), rows):
            assert len(chunk.rows) <= rows
            for number, row in zip(chunk.numbers, chunk.rows, strict=True):
                start = chunk.locate(number)
                assert data[start : start + len(row)] == row if start is not None else False
            parsed = part.parse(chunk)
            for bad in (*chunk.bad, *parsed.bad):
                assert bad.row not in read.faults
                read.faults[bad.row] = (bad.error, bad.column)
            for batch in parsed.batches:
                for place, position in enumerate(batch.positions):
                    number = chunk.numbers[position]
                    assert number not in read.rows
                    read.rows[number] = tuple(_bits(batch.inputs[spec.name][place]) for spec in inputs.specs)
                    read.values[number] = repr(orjson.loads(chunk.rows[position]))
    return read


def _read_slowly(data: bytes, inputs: Inputs) -> Read:
    """One line after the other, by orjson and the cells' own reading."""
    read = Read({}, {}, {})
    number = 0
    for line in io.BytesIO(data.removeprefix(MARK)):
        if line.isspace():
            continue
        number += 1
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            read.faults[number] = ("not JSON in UTF-8", None)
            continue
        if not isinstance(row, dict):
            read.faults[number] = ("not an object of the model's columns", None)
            continue
        values, fault = [], None
        for column in inputs.columns or ():
            cell = row.get(column.name, Empty.ABSENT)
            tensor, faults = read_column(
                [cell], DATATYPES[column.datatype], parse_json, missing=column.filler(), absent=column.default
            )
            if faults:
                fault = (faults[0], column.name)
                break
            values.append(_bits(tensor[0]))
        if fault is None:
            read.rows[number] = tuple(values)
            read.values[number] = repr(row)
        else:
            read.faults[number] = fault
    return read


def _named(columns: Sequence[Column]) -> Inputs:
    specs = tuple(TensorSpec(column.name, column.datatype, (-1,)) for column in columns)
    return Inputs("columns", specs, (), tuple(columns), {}, None)


FP32 = [Column(name, "FP32") for name in "ab"]
MISSING = [Column("a", "FP32", missing=True), Column("b", "FP64", default=7.5)]
MIXED = [
    Column("a", "FP32", default=0.5),
    Column("i", "INT64"),
    Column("t", "BYTES", missing=True),
    Column("f", "BOOL", default=True),
    Column("ä b", "FP16"),
]
ODD_NAME = [Column("a", "FP32"), Column('q"q', "FP32", default=1.0)]
TABLES = [FP32, MISSING, MIXED, ODD_NAME]

VALUES = [
    *(
        "0",
        "-0",
        "-0.0",
        "1",
        "1.0",
        "007",
        "+1",
        ".5",
        "5.",
        "1e39",
        "-1e39",
        "1e400",
        "1e308",
        "3.4028235e38",
        "1e-400",
    ),
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1" * 40, "1" * 400),
    *(
        "1_000",
        "[1]",
        "[]",
        "{}",
        '{"a":1}',
        "[[1" + "1" * 400 + "]]",
        "true",
        "false",
        "null",
        "nan",
        "NaN",
        "Infinity",
    ),
    *(
        '""',
        '"1"',
        '"x, y"',
        '"\\ud800"',
        '"\\u0061"',
        '"\x01"',
        '"}"',
        '"{"',
        '"\\"',
        '"é"',
        "",
        " 1 ",
        "\t1",
        "1 2",
        "\x00",
    ),
]
KEYS = [
    '"a"',
    '"b"',
    '"i"',
    '"t"',
    '"f"',
    '"ä b"',
    '"id"',
    '"note"',
    '"row"',
    '"\\u0061"',
    '"q\\"q"',
    '""',
    "a",
    '"a',
    "1",
]
COMMAS = [","] * 12 + ["", ",,", ", ", " ,\t", "\n", "},{", "} {"]
COLONS = [":"] * 12 + ["", "::", " : ", ":\n"]
LINES = [
    "{}",
    "[1,2]",
    "1",
    "null",
    '"a"',
    "{",
    "}",
    "}{",
    "[{}]",
    '{"a":1,"x":[1',
    '2],"b":2}',
    '{"a":1,"b":2},null,{"a":3,"b":4}',
]

good_values = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr), st.just("null"))


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Inputs]:
    """A file for one of the tables, from clean to hopeless; then some of its bytes are flipped."""
    columns = draw(st.sampled_from(TABLES))
    own = [json.dumps(column.name, ensure_ascii=False) for column in columns]
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["good", "good", "member", "wild", "line"]))
        if kind == "line":
            lines.append(draw(st.sampled_from(LINES)))
            continue
        good = {"i": "3", "t": '"text"', "f": "true"}
        members = [(key, good.get(json.loads(key)) or draw(good_values)) for key in own]
        if kind != "good":
            members.insert(
                draw(st.integers(0, len(members))), (draw(st.sampled_from(KEYS)), draw(st.sampled_from(VALUES)))
            )
        marks = (COMMAS, COLONS) if kind == "wild" else ([","], [":"])
        text = "".join(
            key + draw(st.sampled_from(marks[1])) + value + draw(st.sampled_from(marks[0])) for key, value in members
        )
        lines.append("{" + text.removesuffix(",") + "}")
    ends = (
        st.just("\n")
        if draw(st.booleans())
        else st.sampled_from(["\n", "\r\n", "\n\n", " \n", "\r", "\x0b\n", "\n\x0b\n"])
    )
    data = bytearray(draw(st.sampled_from([b"", MARK])) + "".join(line + draw(ends) for line in lines).encode())
    if data:
        for place, value in draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=2)):
            data[place] = value
    return bytes(data), _named(columns)


@settings(max_examples=300, deadline=None)
@given(
    files(),
    st.sampled_from([1, 7, 30, 100, 10_000]),
    st.sampled_from([1, 2, 5, 1000]),
    st.sampled_from([1, 13, 50, 2**20]),
)
def test_whatever_the_bytes_the_blocks_and_the_ranges_a_file_is_read_as_line_by_line(
    file: tuple[bytes, Inputs], block: int, rows: int, range_: int
) -> None:
    data, inputs = file
    assert _read_quickly(data, inputs, block, rows, range_) == _read_slowly(data, inputs)


def test_a_number_too_large_for_any_float_spoils_a_line_even_where_a_later_member_hides_it() -> None:
    line = b'{"i":[[%s]],"a":0.0,"i":3,"t":"text","f":true,"\xc3\xa4 b":0.0}\n' % (b"1" * 401)
    read = _read_quickly(line, _named(MIXED), 2**20, 1000)
    assert read == _read_slowly(line, _named(MIXED))
    assert read.faults == {1: ("not JSON in UTF-8", None)}


@pytest.mark.parametrize("columns", TABLES)
def test_each_trap_in_each_member_costs_no_other_line_and_is_judged_as_it_is_alone(columns: list[Column]) -> None:
    good = {"i": "3", "t": '"text"', "f": "true"}
    names = [json.dumps(column.name, ensure_ascii=False) for column in columns]
    clean = [(name, good.get(json.loads(name), "1.5")) for name in names]
    lines = []
    for trap in VALUES:
        for key in [*names, '"id"']:
            for members in ([(name, trap if name == key else value) for name, value in clean], [*clean, (key, trap)]):
                lines += ["{" + ",".join(f"{name}:{value}" for name, value in row) + "}" for row in (members, clean)]
    data = "\n".join(lines).encode()
    slow = _read_slowly(data, _named(columns))
    for block in (1, 1000, 2**20):
        assert _read_quickly(data, _named(columns), block, 1000) == slow


@pytest.mark.parametrize(
    "lines", [LINES, LINES[-3:-1] + LINES[-1:], ['{"a":1,"b":2} {"a":3,"b":4}', '{"a":5', '"b":6}']]
)
def test_objects_that_share_a_line_do_not_make_up_for_one_on_two_lines(lines: list[str]) -> None:
    data = "\n".join(lines).encode()
    assert _read_quickly(data, _named(FP32), 2**20, 1000) == _read_slowly(data, _named(FP32))


INSTANCES = [
    "[1,2]",
    "[1,2,3]",
    "[1]",
    "[]",
    "[[1,2]]",
    "[1,[2]]",
    "[1,null]",
    "[1,true]",
    '[1,"2"]',
    "[1e39,0]",
    "[1,2] 3",
]


@pytest.mark.parametrize("datatype", ["FP32", "INT64", "UINT8"])
def test_an_instance_is_read_alone_and_among_others_alike(datatype: str) -> None:
    inputs = Inputs("serving_default", (TensorSpec("x", datatype, (-1, 2)),), (), None, {}, None)
    lines = [*INSTANCES, '{"x":[3,4]}', "[9223372036854775808,1]", "[300,-1]", "[1.5,2]", "[-0,-0.0]", "[5,6]"]
    together = _read_quickly("\n".join(lines).encode(), inputs, 2**20, 1000)
    for number, line in enumerate(lines, start=1):
        # an object is read by the judge alone
        alone = _read_quickly(f'{{"x":{line}}}\n'.encode() if line.startswith("[") else line.encode(), inputs, 2**20, 1)
        assert together.rows.get(number) == alone.rows.get(1), line
        assert together.faults.get(number) == alone.faults.get(1), line
