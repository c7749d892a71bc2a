"""What boosters' files forget: numbers that may stand for missing values, and class values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert.options import parse_missing_value
from onnxlet.toolchain.convert.tabular.forgotten import (
    check_class_values,
    check_sentinels,
    find_sentinel,
    whole_numbers,
)
from onnxlet.toolchain.workbench.table import Table
from onnxlet.values.tensors import Tensor

NORMAL = np.random.default_rng(0).normal(50, 10, 1000)


def with_share(value: float, share: float, column: Tensor = NORMAL) -> Tensor:
    changed = column.copy()
    changed[: round(share * len(column))] = value
    return changed


@pytest.mark.parametrize("value", [-999, -1, -9999.0, 1e30, 999])
def test_a_number_far_from_all_others_may_stand_for_a_missing_value(value: float) -> None:
    assert find_sentinel(with_share(value, 0.01)) == (value if value != -1 else None)
    assert find_sentinel(with_share(value, 0.4)) == (value if value != -1 else None)
    assert find_sentinel(with_share(value, 0.009)) is None


@pytest.mark.parametrize(
    "column",
    [
        NORMAL,
        with_share(np.nan, 0.3),
        np.repeat([0.0, 1.0], 50),
        np.repeat([0.0, 1.0, 2.0], 50),
        np.zeros(50),
        np.full(50, np.nan),
        np.array([1.0, 2.0, 3.0, -999.0]),
        np.random.default_rng(1).lognormal(9, 3, 1000),
        with_share(np.inf, 0.1),
        np.empty(0),
    ],
)
def test_numbers_like_others_do_not(column: Tensor) -> None:
    assert find_sentinel(column) is None


def test_every_column_is_named_in_one_question() -> None:
    columns = {"a": with_share(-999, 0.2), "b": NORMAL, "c": with_share(-999, 0.1), "d": with_share(1e6, 0.1)}
    with pytest.raises(InvalidInputError, match=r"-999 in 'a', 'c' and 1e\+06 in 'd' may") as question:
        check_sentinels("the file", columns)
    assert question.value.context["columns"] == ["a", "c", "d"]


def table(cells: list[str]) -> Table:
    return Table("data.csv", {"x": ["1"] * len(cells), "stage": cells}, len(cells))


@pytest.mark.parametrize(
    ("cells", "labels", "passes"),
    [
        (["0", "1", "2"], (), True),
        (["0.0", "1.0", "2.0"], (), True),
        (["0", "1"], (), False),
        (["1", "2", "3"], (), False),
        (["0", "1", "2", "3"], (), False),
        (["I", "II", "III"], (), False),
        (["I", "II", "III"], ("I", "II", "III"), True),
        (["0", "2"], ("I", "II", "III"), True),
        (["1", "2"], ("I", "II", "III"), False),
        (["1", "2", "3"], ("I", "II", "III"), False),
    ],
)
def test_a_target_says_which_class_is_which_or_labels_do(
    cells: list[str], labels: tuple[str, ...], passes: bool
) -> None:
    if passes:
        check_class_values("the file", table(cells), ("stage",), 3, labels)
    else:
        with pytest.raises(InvalidInputError, match="the file does not say the values of its 3 classes"):
            check_class_values("the file", table(cells), ("stage",), 3, labels)


def test_numbers_are_values_and_names_are_not() -> None:
    assert whole_numbers(("1", "2.0", "-3"), 3) == (1, 2, -3)
    assert whole_numbers(("1", "2"), 3) is None
    assert whole_numbers(("1", "two"), 2) is None
    assert whole_numbers(("1.5", "2"), 2) is None


def test_a_missing_value_is_a_number_or_none() -> None:
    assert parse_missing_value("-999") == -999
    assert parse_missing_value(0) == 0
    assert parse_missing_value(None) is None
    nothing = parse_missing_value("none")
    assert nothing is not None
    assert math.isnan(nothing)
    with pytest.raises(InvalidInputError, match="a missing value is a number, or 'none', not 'NA'"):
        parse_missing_value("NA")
