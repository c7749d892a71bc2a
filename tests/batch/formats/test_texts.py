"""Outputs as texts: floats read back bit by bit, whatever else stands in their rows."""

from __future__ import annotations

import csv
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onnxlet.batch.formats.texts import write_cells, write_values

MATRICES = st.sampled_from([np.float16, np.float32, np.float64]).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
)


def _read_values(tensor: npt.NDArray[Any]) -> list[Any]:
    values = write_values(tensor)
    return [json.loads(values.before + text + values.after) for text in values.texts]


@given(MATRICES)
def test_floats_read_back_bit_by_bit_from_cells(tensor: npt.NDArray[Any]) -> None:
    texts = write_cells(tensor)
    assert len(texts) == len(tensor)
    read = np.array([[float(cell) for cell in text.split(b",")] for text in texts]).astype(tensor.dtype)
    np.testing.assert_array_equal(read, tensor.reshape(len(tensor), -1))
    assert (np.signbit(read) == np.signbit(tensor.reshape(read.shape)))[~np.isnan(read)].all()


@given(MATRICES)
def test_floats_read_back_bit_by_bit_from_values_and_null_stands_for_what_is_no_number(
    tensor: npt.NDArray[Any],
) -> None:
    values = _read_values(tensor)
    read = np.array(values, dtype=object).astype(tensor.dtype)
    finite = np.isfinite(tensor)
    np.testing.assert_array_equal(read[finite], tensor[finite])
    assert np.isnan(read[~finite]).all()


def test_cells_say_nan_and_infinite_and_leave_their_neighbours_alone() -> None:
    matrix = np.array([[0.1, math.nan], [math.inf, -math.inf], [1e-5, 3]], np.float32)
    assert write_cells(matrix) == [b"0.1,nan", b"inf,-inf", b"0.00001,3.0"]


@pytest.mark.parametrize("text", ["plain", "", "a, b", 'a "b"', "two\nlines", "ünï", "null"])
def test_words_read_back_as_they_are(text: str) -> None:
    words = np.array([[text, "x"]], object)
    (cells,) = write_cells(words)
    assert next(csv.reader(cells.decode().splitlines(keepends=True))) == [text, "x"]
    assert _read_values(words) == [[text, "x"]]


@pytest.mark.parametrize("kind", [np.bool_, np.int8, np.int64, np.uint64, np.longlong, np.ulonglong])
def test_whole_numbers_and_truth_values_are_written_whole(kind: type[np.generic]) -> None:
    tensor = np.array([0, 1], kind)
    assert [*map(json.loads, write_cells(tensor)), *_read_values(tensor)] == [0, 1, 0, 1]
    assert write_cells(tensor) == ([b"false", b"true"] if kind is np.bool_ else [b"0", b"1"])
