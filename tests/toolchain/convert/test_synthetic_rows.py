"""Rows that are made from statistics, and are nobody's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.toolchain.convert.synthetic_rows import arbitrary_rows, move_off_integers, synthetic_rows
from onnxlet.values.tensors import Tensors


def patients(count: int = 200) -> Tensors:
    """Columns like those of people: continuous, whole, rare and frequent categories."""
    random = np.random.default_rng(1)
    sex = random.choice(["female", "male"], count).astype(object)
    sex[7] = "the only one of its kind"
    return {
        "age": random.integers(18, 95, count).astype(np.float32),
        "weight": random.normal(70, 12, count).astype(np.float32),
        "smoker": random.integers(0, 2, count).astype(np.float32),
        "sex": sex,
    }


def rows_of(columns: Tensors) -> set[tuple[object, ...]]:
    return set(zip(*(column.tolist() for column in columns.values()), strict=True))


@given(st.integers(0, 10_000))
def test_no_synthetic_row_is_a_row_of_the_data(seed: int) -> None:
    columns = patients()

    drawn = synthetic_rows(columns, 100, seed=seed)

    assert len(drawn["age"]) > 50
    assert not rows_of(drawn) & rows_of(columns)


def test_rare_values_and_extremes_stay_out() -> None:
    columns = patients()
    columns["weight"][3] = 250.0

    drawn = synthetic_rows(columns, 2000, seed=0)

    assert set(drawn["sex"]) == {"female", "male"}
    assert drawn["weight"].max() < 200


def test_whole_numbers_stay_whole_and_flags_stay_flags() -> None:
    drawn = synthetic_rows(patients(), 500, seed=0)

    assert (drawn["age"] == np.floor(drawn["age"])).all()
    assert set(drawn["smoker"].tolist()) == {0.0, 1.0}
    assert drawn["age"].dtype == np.float32


def test_each_feature_keeps_its_distribution() -> None:
    columns = patients(2000)

    drawn = synthetic_rows(columns, 2000, seed=0)

    assert drawn["weight"].mean() == pytest.approx(columns["weight"].mean(), abs=1)
    assert drawn["weight"].std() == pytest.approx(columns["weight"].std(), rel=0.15)


def test_missing_numbers_are_no_statistics() -> None:
    columns = {"a": np.array([np.nan, 1.5, 2.5, np.nan, 3.5] * 8), "b": np.full(40, np.nan)}

    drawn = synthetic_rows(columns, 20, seed=0)

    assert np.isfinite(drawn["a"]).all()
    assert (drawn["b"] == 0).all()


def test_nothing_is_drawn_where_every_combination_is_somebodys_row() -> None:
    columns = {"flag": np.array([0.0, 1.0] * 20)}

    assert len(synthetic_rows(columns, 50, seed=0)["flag"]) == 0
    assert len(arbitrary_rows(columns, 50, seed=0)["flag"]) == 50


def test_arbitrary_rows_owe_nothing_to_the_data() -> None:
    columns = patients()

    drawn = arbitrary_rows(columns, 20, seed=0)

    assert not set(drawn["sex"]) & set(columns["sex"])
    assert {name: column.dtype for name, column in drawn.items()} == {
        name: column.dtype for name, column in columns.items()
    }


def test_whole_numbers_are_moved_off_what_trees_split_at_and_all_else_stays() -> None:
    columns: Tensors = {
        "count": np.array([0, 3, -2], np.float32),
        "size": np.array([0.5, 1, np.nan]),
        "age": np.array([3, 4, 5]),
        "sex": np.array(["m", "f", "m"], object),
    }
    moved = move_off_integers(columns)
    np.testing.assert_allclose(moved["count"], [0.3, 3.3, -1.7], rtol=1e-6)
    np.testing.assert_allclose(moved["size"], [0.5, 1.3, np.nan])
    assert [moved[name].dtype for name in columns] == [column.dtype for column in columns.values()]
    assert moved["age"] is columns["age"]
    assert moved["sex"] is columns["sex"]


def test_texts_that_nobody_shares_are_made_up() -> None:
    names = [f"patient {number}" for number in range(40)]
    columns: Tensors = {"name": np.array(names, object), "age": np.arange(40.0)}

    drawn = synthetic_rows(columns, 50, seed=0)

    assert not set(drawn["name"]) & set(names)


def test_texts_that_the_model_knows_are_drawn_however_rare_they_are() -> None:
    wards = np.array(["surgery"] * 40 + ["icu", "Mrs Smith"], object)

    drawn = synthetic_rows({"ward": wards, "age": np.arange(42.0)}, 500, seed=0, known={"icu", "surgery", "burns"})

    assert set(drawn["ward"]) == {"surgery", "icu"}


def test_of_a_few_numbers_none_is_drawn_as_it_is() -> None:
    born: Tensors = {"born": np.array([19450312.5, 19510101.25, 19771130.75])}

    drawn = synthetic_rows(born, 50, seed=0)

    assert len(drawn["born"]) == 50
