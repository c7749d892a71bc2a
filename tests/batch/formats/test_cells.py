"""Cells: texts and JSON values become elements exactly, or say why not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.batch.formats.cells import Empty, Parse, parse_json, parse_text, read_column
from onnxlet.values.datatypes import DATATYPES


@pytest.mark.parametrize(
    ("text", "datatype", "value"),
    [
        ("1.5", "FP32", 1.5),
        (" 2 ", "FP64", 2.0),
        ("-1e3", "FP16", -1000.0),
        ("9223372036854775807", "INT64", 2**63 - 1),
        ("18446744073709551615", "UINT64", 2**64 - 1),
        ("+7", "INT8", 7),
        ("3.0", "INT32", 3),
        ("TRUE", "BOOL", True),
        ("0", "BOOL", False),
        (" as it stands ", "BYTES", " as it stands "),
    ],
)
def test_a_text_becomes_the_element_it_writes(text: str, datatype: str, value: object) -> None:
    values, bad = read_column([text], DATATYPES[datatype], parse_text)
    assert not bad
    assert values.dtype == DATATYPES[datatype].numpy
    assert values[0] == value


@pytest.mark.parametrize(
    ("text", "datatype", "reason"),
    [
        ("", "FP32", "missing value"),
        ("  ", "INT64", "missing value"),
        ("nan", "FP32", "missing value"),
        ("NaN", "INT64", "missing value"),
        ("", "BYTES", "missing value"),
        ("high", "FP32", "not a number"),
        ("1_000", "FP32", "not a number"),
        ("1,5", "FP32", "not a number"),
        ("١", "FP32", "not a number"),  # noqa: RUF001 - a digit of another script is the point
        ("inf", "FP32", "not a finite number"),
        ("1e39", "FP32", "out of range for FP32"),
        ("70000", "FP16", "out of range for FP16"),
        ("1.5", "INT64", "not an integer"),
        ("9007199254740993.0", "INT64", "not an integer"),
        ("9" * 5000, "INT64", "not an integer"),
        ("9223372036854775808", "INT64", "out of range for INT64"),
        ("-1", "UINT8", "out of range for UINT8"),
        ("+-5", "INT64", "not an integer"),
        ("yes", "BOOL", "not true or false"),
    ],
)
def test_a_text_that_is_no_element_is_bad_for_a_reason_that_does_not_quote_it(
    text: str, datatype: str, reason: str
) -> None:
    good = {"BOOL": "1", "BYTES": "x"}.get(datatype, "1")
    values, bad = read_column([good, text, good], DATATYPES[datatype], parse_text)
    assert bad == {1: reason}
    assert values[0] == values[2]


@pytest.mark.parametrize(
    ("value", "datatype", "reason"),
    [
        (None, "FP32", "missing value"),
        ("1.5", "FP32", "not a number"),
        (True, "FP32", "not a number"),
        (1.0, "INT64", "not an integer"),
        (2**63, "INT64", "out of range for INT64"),
        (10**400, "FP64", "out of range for FP64"),
        (1e39, "FP32", "out of range for FP32"),
        (1, "BOOL", "not true or false"),
        (1, "BYTES", "not text"),
        ([1], "FP32", "not a number"),
        ({}, "BYTES", "not text"),
    ],
)
def test_json_values_are_taken_by_their_type(value: object, datatype: str, reason: str) -> None:
    assert read_column([value], DATATYPES[datatype], parse_json)[1] == {0: reason}


def test_a_missing_cell_takes_the_default() -> None:
    values, bad = read_column(["", "2", "nan"], DATATYPES["FP32"], parse_text, missing=7.0)
    assert values.tolist() == [7.0, 2.0, 7.0]
    assert not bad
    values, bad = read_column([None, 2], DATATYPES["FP32"], parse_json, missing=7.0)
    assert values.tolist() == [7.0, 2.0]
    assert not bad


@pytest.mark.parametrize("parse", [parse_text, parse_json])
@pytest.mark.parametrize(
    ("missing", "absent", "reason"),
    [
        (None, None, "the column is not there"),
        (7.0, None, "the column is not there; null is a missing value"),
        (7.0, 7.0, None),
    ],
)
def test_an_absent_cell_takes_its_columns_default_and_is_never_taken_for_a_missing_value(
    parse: Parse, missing: float | None, absent: float | None, reason: str | None
) -> None:
    values, bad = read_column([Empty.ABSENT], DATATYPES["FP32"], parse, missing=missing, absent=absent)
    assert bad.get(0) == reason
    assert reason is not None or values.tolist() == [7.0]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8))
def test_floats_read_back_as_they_were_written(numbers: list[float]) -> None:
    for cells, parse in (([repr(number) for number in numbers], parse_text), (numbers, parse_json)):
        values, bad = read_column(cells, DATATYPES["FP64"], parse)
        assert values.tolist() == numbers
        assert not bad


@given(st.lists(st.one_of(st.text(max_size=6), st.floats().map(repr), st.integers().map(str)), max_size=6))
def test_the_quick_way_and_the_careful_way_agree(texts: list[str]) -> None:
    together, bad = read_column(texts, DATATYPES["FP32"], parse_text)
    for position, text in enumerate(texts):
        alone, alone_bad = read_column([text, "no number"], DATATYPES["FP32"], parse_text)
        assert bad.get(position) == alone_bad.get(0)
        if position not in bad:
            assert together[position] == alone[0]


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)), max_size=6))
def test_no_number_that_is_not_finite_passes(values: list[Any]) -> None:
    column, bad = read_column([value for value in values if value == value], DATATYPES["FP32"], parse_json)  # noqa: PLR0124
    kept = [position for position in range(len(column)) if position not in bad]
    assert np.isfinite(column[kept]).all()
    assert not any(math.isnan(number) for number in column[kept].tolist())
