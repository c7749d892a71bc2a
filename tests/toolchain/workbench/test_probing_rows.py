"""Probing rows: what is made of what a model knows, in the datatype that is served."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.steps import names_of
from onnxlet.toolchain.workbench.agreement import compare_rows
from onnxlet.toolchain.workbench.probing_rows import (
    MOST_BASES,
    MOST_THRESHOLDS,
    SIZES,
    UNKNOWN,
    WITHOUT,
    WORDS,
    Knowledge,
    ProbingRows,
    RowMaker,
    Threshold,
)
from onnxlet.values.manifest import Tolerance

COLUMNS = {
    "age": np.array([20, 40, 60], dtype=np.float32),
    "dose": np.array([0.5, 1.5, np.nan], dtype=np.float32),
    "site": np.array(["a", "b", "a"], dtype=object),
    "sick": np.array([True, False, True]),
}


def rows_of(knowledge: Knowledge, missing: frozenset[str] = frozenset(), **columns: Any) -> dict[str, ProbingRows]:  # noqa: ANN401
    """The rows by kind."""
    return {rows.kind: rows for rows in RowMaker(columns or COLUMNS, knowledge, missing, seed=1).make()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(threshold=st.floats(-1e6, 1e6))
def test_a_threshold_is_approached_from_both_sides_by_the_smallest_step(dtype: Any, threshold: float) -> None:  # noqa: ANN401
    columns = {"x": np.array([1, 2], dtype=dtype), "y": np.array([3, 4], dtype=dtype)}

    rows = rows_of(Knowledge([Threshold("x", threshold)]), frozenset(), **columns)["number at a threshold"]

    below, at, above = rows.columns["x"].tolist()[:3]
    assert rows.columns["x"].tolist() == [below, at, above] * MOST_BASES
    assert rows.columns["x"].dtype == dtype
    assert below < at < above
    assert np.nextafter(dtype(below), dtype(np.inf)) == at == np.nextafter(dtype(above), dtype(-np.inf))
    assert below <= threshold <= above
    assert set(rows.columns["y"].tolist()) <= {3, 4}


@pytest.mark.parametrize("threshold", [39.330000000000005, 0.1, 1719720123.5])
def test_a_short_decimal_that_rounding_takes_across_a_threshold_is_asked_for_as_it_is_written(threshold: float) -> None:
    columns = {"x": np.array([1, 2], dtype=np.float32), "y": np.array([3, 4], dtype=np.float32)}

    rows = rows_of(Knowledge([Threshold("x", threshold)]), frozenset(), **columns)["decimal at a threshold"]

    (written,), (served,) = rows.written["x"].tolist(), rows.columns["x"].tolist()
    assert len(f"{written:.10g}") <= 11
    assert float(np.float32(written)) == served
    assert (written <= threshold) != (served <= threshold) or (written < threshold) != (served < threshold)
    assert rows.take(np.array([0])).written["x"].tolist() == [written]


def test_what_no_rounding_takes_across_a_threshold_is_asked_for_once() -> None:
    halves = Knowledge([Threshold("age", 20.5), Threshold("age", 2.0000000000000004)])

    assert "decimal at a threshold" not in rows_of(halves)
    in_double = rows_of(Knowledge([Threshold("x", 39.330000000000005)]), x=np.array([39.0, 40.0]))
    assert "decimal at a threshold" not in in_double


def test_other_columns_are_moved_to_where_the_threshold_is_reached() -> None:
    reached = Knowledge([Threshold("age", 50, {"dose": (2.0, 3.0), "age": (45, 70)})])

    rows = rows_of(reached, frozenset({"age"}))["number at a threshold"]

    assert (rows.columns["dose"] == 2.5).all()
    assert rows.columns["age"].tolist()[:3] == pytest.approx([50, 50, 50])
    assert np.isnan(rows.columns["age"][3])
    assert rows.changed.tolist() == ["age"] * 4 * MOST_BASES


def test_every_category_is_tried_and_one_that_nobody_knows() -> None:
    known = Knowledge(categories={"site": ["a", "b", "rare"], "age": [1, 2]})

    rows = rows_of(known)

    sites = rows["known category"].columns["site"][rows["known category"].changed == "site"]
    assert sites.tolist() == ["a", "b", "rare"]
    assert UNKNOWN in rows["unknown category"].columns["site"].tolist()
    assert 3 in rows["unknown category"].columns["age"].tolist()


def test_every_word_of_a_vocabulary_is_tried() -> None:
    words = [f"word{number}" for number in range(10)]

    texts = rows_of(Knowledge(words={"site": words}))["known category"].columns["site"].tolist()

    assert " ".join(texts).split() == words
    assert len(texts) == -(-len(words) // WORDS)


def test_values_are_left_out_where_they_may_be_missing_and_nowhere_else() -> None:
    rows = rows_of(Knowledge(), frozenset({"age", "site"}))["missing value"]

    assert rows.changed.tolist() == ["age", "site"] * WITHOUT
    assert np.isnan(rows.columns["age"][::2]).all()
    assert set(rows.columns["site"][1::2]) == {""}
    assert not np.isnan(rows.columns["age"][1::2]).any()
    assert "missing value" not in rows_of(Knowledge())


def test_several_values_are_left_out_at_once_and_all_of_them_once() -> None:
    columns = {name: np.array([1, 2], dtype=np.float32) for name in "abcd"}

    rows = rows_of(Knowledge(), frozenset("abc"), **columns)["row with several missing values"]

    missing = np.isnan(np.stack([rows.columns[name] for name in "abcd"], axis=1))
    assert missing[0].tolist() == [True, True, True, False]
    assert not missing[:, 3].any()
    assert set(missing.sum(axis=1).tolist()) == {2, 3}
    assert "row with several missing values" not in rows_of(Knowledge(), frozenset("a"), **columns)


def test_numbers_are_infinite_where_they_may_be_and_nowhere_else() -> None:
    maker = RowMaker(COLUMNS, Knowledge(), frozenset(), frozenset({"age", "site"}), seed=1)
    rows = {each.kind: each for each in maker.make()}["infinity"]

    assert set(rows.changed.tolist()) == {"age"}
    assert set(rows.columns["age"].tolist()) == {np.inf, -np.inf}
    assert not rows.far.any()
    assert "infinity" not in rows_of(Knowledge())


def test_numbers_of_other_sizes_and_which_of_them_are_far() -> None:
    rows = rows_of(Knowledge())["number of another size"]

    tried = rows.columns["age"][rows.changed == "age"]
    assert tried.tolist() == pytest.approx([60 * size for size in SIZES])
    assert rows.far[rows.changed == "age"].tolist() == [size > 100 for size in SIZES]
    assert set(rows.changed.tolist()) == {"age", "dose"}


def test_of_many_thresholds_some_are_tried_and_always_the_same() -> None:
    many = Knowledge([Threshold("age", number) for number in range(3 * MOST_THRESHOLDS)])

    first, again = (rows_of(many)["number at a threshold"] for _ in range(2))

    assert len(first.far) == 3 * MOST_THRESHOLDS
    assert np.array_equal(first.columns["age"], again.columns["age"])


def test_rows_are_told_apart_by_the_column_that_was_changed() -> None:
    rows = rows_of(Knowledge(), frozenset({"age", "site"}))["missing value"]

    assert [part.changed.tolist() for part in rows.by_column()] == [["age"] * WITHOUT, ["site"] * WITHOUT]
    assert rows.take(np.array([1])).columns["site"].tolist() == [""]


def test_answers_agree_row_by_row_and_a_tie_is_no_difference() -> None:
    names = names_of("")
    expected = {
        "label": np.array([0, 1, 1, 0]),
        "probabilities": np.array([[0.9, 0.1], [0.2, 0.8], [0.49999, 0.50001], [0.7, 0.3]]),
    }
    actual = {
        "label": np.array([0, 0, 0, 0]),
        "probabilities": np.array([[0.9, 0.1], [0.2, 0.8], [0.50001, 0.49999], [0.71, 0.29]]),
    }

    agreement = compare_rows(expected, actual, [names], Tolerance())

    assert agreement.differ.tolist() == [False, True, False, True]
    assert agreement.tied.tolist() == [False, False, True, False]
