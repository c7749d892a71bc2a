"""Data that the caller holds, opened as the tools read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("pandas")

import pandas as pd

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.arrays import Arrays
from onnxlet.toolchain.workbench.data import open_data
from onnxlet.toolchain.workbench.table import Table


def opened(data: Any, target: Any = None, names: tuple[str, ...] = ()) -> tuple[Table, tuple[str, ...]]:  # noqa: ANN401
    cells, targets = open_data(data, target, names)
    assert isinstance(cells, Table)
    return cells, targets


def test_a_dataframe_has_the_cells_that_its_csv_file_would_have(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "dose": np.array([0.1, np.nan, 3.0], dtype=np.float64),
            "age": np.array([1, 2, 3], dtype=np.int16),
            "smoker": [True, False, True],
            "ward": pd.Categorical(["a", None, "Å b"]),
            "stage": pd.array([1, None, 3], dtype="Int64"),
            "note": ["x", "", None],
        }
    )
    frame.to_csv(tmp_path / "data.csv", index=False)

    held, _ = opened(frame)
    read, _ = opened(tmp_path / "data.csv")

    for name in ("age", "smoker", "ward", "note"):
        assert held.column(name) == read.column(name)
    for name in ("dose", "stage"):
        np.testing.assert_array_equal(held.numbers(name), read.numbers(name))
    assert held.own is frame
    assert read.path == tmp_path / "data.csv"


def test_values_of_a_target_stand_beside_the_columns_under_a_name_that_none_has() -> None:
    frame = pd.DataFrame({"target": [1.5, 2.5], "dose": [0.0, 1.0]})

    for target in (np.array([3, 4]), [3, 4], pd.Series([3, 4])):
        cells, names = opened(frame, target)
        assert names == ("target_",)
        assert cells.column("target_") == ["3", "4"]
    cells, names = opened(frame, pd.Series(["a", "b"], name="stage"))
    assert (names, cells.column("stage")) == (("stage",), ["a", "b"])
    assert opened(frame, pd.DataFrame({"stage": [1, 2], "grade": [3, 4]}))[1] == ("stage", "grade")
    assert opened(frame, np.array([[1, 2], [3, 4]]))[1] == ("target0", "target1")
    assert opened(frame, "target")[1] == ("target",)


def test_an_array_has_the_models_names_or_numbered_ones() -> None:
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]])

    assert list(opened(matrix)[0].columns) == ["x0", "x1"]
    assert list(opened(matrix, None, ("dose", "age"))[0].columns) == ["dose", "age"]
    assert list(opened({"dose": matrix[:, 0], "age": matrix[:, 1]})[0].columns) == ["dose", "age"]


def test_tensors_keep_their_names_and_shapes_for_a_model_that_reads_them() -> None:
    image = np.zeros((2, 3, 4, 4), dtype=np.float32)

    cells, names = open_data({"image": image}, np.array([0, 1]), ("image",), tensors=True)
    assert isinstance(cells, Arrays)
    assert (cells.rows, names) == (2, ("target",))
    assert cells.columns["image"].dtype == np.float32
    alone, _ = open_data(image, None, ("image",), tensors=True)
    assert list(alone.columns) == ["image"]
    with pytest.raises(InvalidInputError, match="several inputs: give arrays by name, for 'ids', 'mask'"):
        open_data(image, None, ("ids", "mask"), tensors=True)


def test_equal_data_have_equal_digests_and_others_do_not() -> None:
    frame = pd.DataFrame({"dose": [0.1, 0.2], "ward": ["a", "b"]})
    digests = {
        opened(frame)[0].digest,
        opened(frame.copy())[0].digest,
        opened(frame.assign(ward=["a", "c"]))[0].digest,
        opened(frame.rename(columns={"ward": "place"}))[0].digest,
        opened(frame, [0, 1])[0].digest,
    }
    assert len(digests) == 4
    first = open_data({"x": np.ones((2, 2))}, None, ("x",), tensors=True)[0].digest
    other = open_data({"x": np.ones((2, 2), dtype=np.float32)}, None, ("x",), tensors=True)[0].digest
    assert first != other


@pytest.mark.parametrize(
    ("data", "target", "message"),
    [
        (np.zeros(3), None, r"the shape \[3\] where \[rows, columns\] are needed"),
        (np.zeros((0, 3)), None, r"the shape \[0, 3\]"),
        (pd.DataFrame({"a": []}), None, "hold no rows"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), None, "columns 1 and 2 have the same name"),
        (pd.DataFrame({"a": [1, 2]}), [1, 2, 3], "differ in length: 'a' 2, 'target' 3"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, None, "do not make a table of columns"),
    ],
)
def test_what_holds_no_rows_is_refused(data: Any, target: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(InvalidInputError, match=message):
        open_data(data, target)


def test_an_array_of_another_width_is_refused_with_the_models_features() -> None:
    with pytest.raises(InvalidInputError, match="have 2 columns, the model has 1 features: 'dose'"):
        open_data(np.zeros((3, 2)), None, ("dose",))


def test_a_file_has_its_target_in_it(tmp_path: Path) -> None:
    path = trained.write_csv(tmp_path / "data.csv", ["a"], [[1]])
    with pytest.raises(InvalidInputError, match="have their target in it"):
        open_data(path, np.array([1]))
