"""Finite numbers: what a model refuses is refused, by columns and by tensors alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column, Finite, Steps, Tabular, decode_steps
from onnxlet.values.signature import COLUMNS, SERVING_DEFAULT, Signature, TensorSpec

NAMES = ("age", "dose", "count")
MATRIX = Signature((TensorSpec("x", "FP32", (-1, 3)),), (TensorSpec("y", "FP32", (-1, 3)),))
APART = Signature(tuple(TensorSpec(name, "FP64", (-1, 1)) for name in NAMES), MATRIX.outputs)
TABULAR = Tabular(tuple(Column(name, "FP32", missing=name == "dose") for name in NAMES), "x")
STEPS = Steps((TABULAR, Finite(NAMES, missing=("dose",), infinite=("count",), input="x")))


def test_documents_are_read_back() -> None:
    assert STEPS.documents[1] == {
        "kind": "finite",
        "columns": ["age", "dose", "count"],
        "missing": ["dose"],
        "infinite": ["count"],
        "input": "x",
    }
    assert decode_steps(STEPS.documents) == STEPS


def test_it_changes_neither_what_is_sent_nor_what_is_served() -> None:
    bare = Steps((TABULAR,))
    for name in (SERVING_DEFAULT, COLUMNS):
        assert STEPS.inputs(name, MATRIX) == bare.inputs(name, MATRIX)
    assert STEPS.signature_names == bare.signature_names
    assert STEPS.columns == bare.columns
    STEPS.check(MATRIX, STEPS.served(MATRIX))


@pytest.mark.parametrize("signature", [SERVING_DEFAULT, COLUMNS])
@pytest.mark.parametrize(
    ("row", "refused"),
    [
        ([1, 2, 3], ""),
        ([1, np.nan, 3], ""),
        ([1, 2, -np.inf], ""),
        ([3e38, -3e38, 1e-45], ""),
        ([np.nan, 2, 3], r"the column 'age' is missing \(NaN\) in row 1, and the model takes no such value there"),
        ([1, 2, np.nan], r"'count' is missing"),
        ([np.inf, 2, 3], "'age' is infinite in row 1"),
        ([1, -np.inf, 3], "'dose' is infinite"),
    ],
)
def test_numbers_that_the_model_refuses_are_refused_on_every_way_in(
    signature: str, row: list[float], refused: str
) -> None:
    rows = np.array([[4, 5, 6], row], dtype=np.float32)
    sent = {"x": rows} if signature == SERVING_DEFAULT else dict(zip(NAMES, rows.T, strict=True))
    prepare = STEPS.preprocessor(signature, MATRIX)
    assert prepare is not None
    if refused:
        with pytest.raises(InvalidInputError, match=refused) as refusal:
            prepare(sent)
        assert refusal.value.context["row"] == 1
    else:
        np.testing.assert_array_equal(prepare(sent)["x"], rows)


def test_inputs_of_their_own_are_looked_at_one_by_one() -> None:
    steps = Steps((Finite(("age", "count"), missing=("count",)),))
    prepare = steps.preprocessor(SERVING_DEFAULT, APART)
    assert prepare is not None
    column = np.ones((2, 1))
    gap = np.array([[1.0], [np.nan]])
    assert prepare({"age": column, "dose": gap, "count": gap})["dose"] is gap
    with pytest.raises(InvalidInputError, match=r"'age' is missing \(NaN\) in row 1"):
        prepare({"age": gap, "dose": column, "count": column})


def test_tensors_of_another_shape_are_left_to_the_graph_to_refuse() -> None:
    prepare = STEPS.preprocessor(SERVING_DEFAULT, MATRIX)
    assert prepare is not None
    wrong = {"x": np.full((1, 4), np.nan, dtype=np.float32)}
    assert prepare(wrong) is wrong
    assert prepare({"z": np.ones(1)}).keys() == {"z"}
    assert prepare({"x": np.zeros((0, 3), dtype=np.float32)})["x"].size == 0


@given(st.lists(st.tuples(*[st.floats(width=32)] * 3), min_size=1, max_size=8))
def test_what_passes_is_just_what_it_says(rows: list[tuple[float, float, float]]) -> None:
    matrix = np.array(rows, dtype=np.float32)
    allowed = all(
        np.isfinite(value) or (np.isnan(value) and name == "dose") or (np.isinf(value) and name == "count")
        for row in rows
        for name, value in zip(NAMES, row, strict=True)
    )
    prepare = STEPS.preprocessor(SERVING_DEFAULT, MATRIX)
    assert prepare is not None
    if allowed:
        assert prepare({"x": matrix})["x"] is matrix
    else:
        with pytest.raises(InvalidInputError):
            prepare({"x": matrix})


def test_inputs_that_are_known_to_be_finite_are_not_looked_at() -> None:
    assert STEPS.preprocessor(SERVING_DEFAULT, MATRIX, finite=True) is None
    prepare = STEPS.preprocessor(COLUMNS, MATRIX, finite=True)
    assert prepare is not None
    columns = {name: np.array([1.0, 2.0], np.float32) for name in NAMES}
    np.testing.assert_array_equal(prepare(columns)["x"], [[1, 1, 1], [2, 2, 2]])
