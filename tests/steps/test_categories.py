"""Known categories: a value that is not listed is refused by its column and row, and never quoted."""

from __future__ import annotations

import numpy as np
import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.steps import decode_steps
from onnxlet.steps.categories import CategoricalColumn, Categories
from onnxlet.values.tensors import Tensor

STAGE = CategoricalColumn("stage", ("I", "II"))
SEX = CategoricalColumn("sex", ("f", "m"), missing=True)
CODE = CategoricalColumn("code", (1.0, 2.5), place=1)


def texts(*values: str) -> Tensor:
    return np.array(values, dtype=object)


def test_listed_values_pass_as_they_are() -> None:
    check = Categories((STAGE, SEX)).preprocessor(())
    sent = {"stage": texts("I", "II").reshape(-1, 1), "sex": texts("m", ""), "age": np.array([1.0])}
    assert check(sent) is sent


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_another_value_is_refused_by_its_column_and_row_and_not_quoted(shape: tuple[int, ...]) -> None:
    check = Categories((STAGE,)).preprocessor(())
    with pytest.raises(InvalidInputError, match=r"^the column 'stage' holds a category .* in row 1") as caught:
        check({"stage": texts("I", "SECRET", "X").reshape(shape)})
    assert "SECRET" not in str(caught.value)
    assert caught.value.context == {"column": "stage", "row": 1}


def test_a_missing_value_is_refused_where_the_model_takes_none() -> None:
    with pytest.raises(InvalidInputError, match="the column 'stage' is missing in row 0"):
        Categories((STAGE,)).preprocessor(())({"stage": texts("")})


def test_columns_of_a_matrix_are_found_in_their_places() -> None:
    check = Categories((CODE,), input="features").preprocessor(())
    good = {"features": np.array([[9, 1], [9, 2.5]], np.float32)}
    assert check(good) is good
    for value, what in ((9.0, "holds a category"), (np.nan, "is missing")):
        with pytest.raises(InvalidInputError, match=f"the column 'code' {what} .*in row 0"):
            check({"features": np.array([[1, value]], np.float32)})


def test_a_matrix_of_another_shape_is_left_to_the_graph() -> None:
    check = Categories((CODE,), input="features").preprocessor(())
    for shape in ((2,), (2, 1)):
        sent = {"features": np.zeros(shape, np.float32)}
        assert check(sent) is sent


def test_a_manifest_keeps_the_step() -> None:
    document = {"kind": "categories", "columns": [{"name": "stage", "values": ["I", "II"]}]}
    (step,) = decode_steps([document]).each
    assert step == Categories((STAGE,))
