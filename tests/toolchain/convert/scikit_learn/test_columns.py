"""Columns of estimators: their names, their types, and what the data must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from drafts import tabular_of
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.workbench.directory import read_draft

pytestmark = pytest.mark.toolchain


def mixed_rows() -> list[list[Any]]:
    """Rows of age, sex, ward, pressure and whether someone stays."""
    random = np.random.default_rng(5)
    rows = []
    for _ in range(150):
        age, pressure = int(random.integers(20, 90)), float(np.float32(random.normal(120, 15)))
        sex, ward = str(random.choice(["female", "male"])), str(random.choice(["A1", "B2", "C3"]))
        rows.append([age, sex, ward, pressure, int(age + (sex == "male") * 10 + (ward == "B2") * 15 > 60)])
    return rows


NAMES = ["age", "sex", "hospital ward", "pressure", "stays"]


def test_columns_picked_by_position_become_inputs_of_their_own(tmp_path: Path) -> None:
    rows = mixed_rows()
    features = np.array([row[:-1] for row in rows], dtype=object)
    target = np.array([row[-1] for row in rows])
    columns = ColumnTransformer(
        [("n", StandardScaler(), [0, 3]), ("c", OneHotEncoder(handle_unknown="ignore"), [1, 2])]
    )
    estimator = trained.fitted(make_pipeline(columns, LogisticRegression()), features, target)
    data = trained.write_csv(tmp_path / "data.csv", NAMES, rows)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="stays", trust=True)

    assert tabular_of(draft).input is None
    assert [(spec.name, spec.datatype, spec.shape) for spec in draft.graph.inputs] == [
        ("age", "FP32", (-1, 1)),
        ("sex", "BYTES", (-1, 1)),
        ("hospital ward", "BYTES", (-1, 1)),
        ("pressure", "FP32", (-1, 1)),
    ]
    assert [spec.shape for spec in draft.signature.inputs] == [(-1,)] * 4
    served = trained.served_model(tmp_path / "out").predict(
        {
            "age": np.array([80.0, 20.0], dtype=np.float32),
            "sex": np.array(["male", "female"], dtype=object),
            "hospital ward": np.array(["B2", "elsewhere"], dtype=object),
            "pressure": np.array([120.0, 120.0], dtype=np.float32),
        }
    )
    assert served["label"].tolist() == [1, 0]
    assert draft.golden is not None
    assert draft.golden.source == "synthetic"
    known = {tuple(map(str, row[:-1])) for row in rows}
    for case in read_draft(tmp_path / "out")[1]:
        assert tuple(str(tensor[0, 0]) for tensor in case.inputs.values()) not in known


def test_columns_picked_by_name_take_a_data_frame(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = mixed_rows()
    frame = pandas.DataFrame([row[:-1] for row in rows], columns=NAMES[:-1])
    columns = ColumnTransformer(
        [("n", StandardScaler(), ["pressure", "age"]), ("c", OrdinalEncoder(), ["hospital ward"])], remainder="drop"
    )
    estimator = trained.fitted(
        make_pipeline(columns, RandomForestClassifier(5, random_state=0)), frame, np.array([row[-1] for row in rows])
    )
    shuffled = [[row[3], row[2], row[1], "ignored", row[0], row[4]] for row in rows]
    names = ["pressure", "hospital ward", "sex", "note", "age", "stays"]
    data = trained.write_csv(tmp_path / "data.csv", names, shuffled)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="stays", trust=True)

    assert {"age", "hospital ward", "pressure"} <= {column.name for column in tabular_of(draft).columns}
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


def test_columns_may_lack_values_when_served_where_the_data_do_or_an_imputer_stands(tmp_path: Path) -> None:
    rows = [
        ["" if (at + place) % 9 == 0 and place in (0, 2) else cell for place, cell in enumerate(row)]
        for at, row in enumerate(mixed_rows())
    ]
    features = np.array(
        [[np.nan if cell == "" and place != 2 else cell for place, cell in enumerate(row[:-1])] for row in rows],
        dtype=object,
    )
    imputed = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer([("n", imputed, [0, 3]), ("c", OneHotEncoder(handle_unknown="ignore"), [1, 2])])
    estimator = trained.fitted(
        make_pipeline(columns, LogisticRegression()), features, np.array([row[-1] for row in rows])
    )
    data = trained.write_csv(tmp_path / "data.csv", NAMES, rows)

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, target="stays", trust=True)

    assert {column.name: column.missing for column in tabular_of(draft).columns} == {
        "age": True,
        "sex": False,
        "hospital ward": True,
        "pressure": True,  # its imputer takes what the data never lacked
    }


def test_numbers_as_categories_stay_whole(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    codes, names = random.integers(0, 4, 80), random.choice(["x", "y"], 80)
    features = np.array([[int(code), str(name)] for code, name in zip(codes, names, strict=True)], dtype=object)
    columns = ColumnTransformer([("a", OneHotEncoder(), [0]), ("b", OneHotEncoder(), [1])])
    estimator = trained.fitted(make_pipeline(columns, Ridge()), features, codes * 1.5)
    data = trained.write_csv(tmp_path / "data.csv", ["code", "name"], features.tolist())

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, trust=True)

    assert [spec.datatype for spec in draft.signature.inputs] == ["INT64", "BYTES"]
    assert draft.golden is None  # every pair of a code and a name is a row of the data


def test_a_column_may_be_called_like_an_output(tmp_path: Path) -> None:
    features = np.array([["a", 1.0], ["b", 2.0]] * 20, dtype=object)
    columns = ColumnTransformer([("c", OneHotEncoder(), [0]), ("n", StandardScaler(), [1])])
    estimator = trained.fitted(make_pipeline(columns, LogisticRegression()), features, np.array([0, 1] * 20))
    data = trained.write_csv(tmp_path / "data.csv", ["label", "probabilities"], features.tolist())

    draft = convert(trained.saved(estimator, tmp_path), tmp_path / "out", data=data, trust=True)

    assert [spec.name for spec in draft.graph.inputs] == ["label", "probabilities"]
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0


@pytest.mark.parametrize("unknown", ["error", "ignore"])
def test_spaces_around_a_text_are_part_of_it_but_not_of_a_class(tmp_path: Path, unknown: str) -> None:
    works = np.array([" Private", " State", "Own "] * 20, dtype=object)
    hours = np.arange(60.0)
    target = np.where(works == " Private", "rich", "poor")
    columns = ColumnTransformer([("w", OneHotEncoder(handle_unknown=unknown), [0]), ("h", StandardScaler(), [1])])
    rows = np.stack([works, hours.astype(object)], axis=1)
    path = trained.saved(trained.fitted(make_pipeline(columns, LogisticRegression(C=100)), rows, target), tmp_path)
    cells = [[work, f" {hour} ", f" {wanted}"] for work, hour, wanted in zip(works, hours, target, strict=True)]
    data = trained.write_csv(tmp_path / "data.csv", ["work", "hours", "income"], cells)

    draft = convert(path, tmp_path / "out", data=data, target="income", trust=True)

    assert [evaluation.metrics["accuracy"] for evaluation in draft.evaluations] == [1.0, 1.0]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    features, target = trained.blobs(features=2)
    frame = pandas.DataFrame(features, columns=["radius", "texture"])
    path = trained.saved(trained.fitted(LogisticRegression(), frame, target), tmp_path)
    data = trained.write_csv(tmp_path / "data.csv", ["radius"], [[1.0]])

    with pytest.raises(InvalidInputError, match="lacks the columns 'texture'"):
        convert(path, tmp_path / "out", data=data, trust=True)


def test_names_learned_from_a_data_frame_order_the_columns(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    features, target = trained.blobs(features=2)
    frame = pandas.DataFrame(features, columns=["radius", "texture"])
    path = trained.saved(trained.fitted(LogisticRegression(), frame, target), tmp_path)
    data = trained.write_csv(tmp_path / "data.csv", ["texture", "id", "radius"], [[b, 0, a] for a, b in features])

    draft = convert(path, tmp_path / "out", data=data, trust=True)

    assert [column.name for column in tabular_of(draft).columns] == ["radius", "texture"]


def test_text_columns_cannot_be_guessed(tmp_path: Path) -> None:
    features = np.array([["a", "x"], ["b", "y"]] * 10, dtype=object)
    estimator = trained.fitted(make_pipeline(OneHotEncoder(), LogisticRegression()), features, np.array([0, 1] * 10))

    with pytest.raises(InvalidInputError, match="--data"):
        convert(trained.saved(estimator, tmp_path), tmp_path / "out", trust=True)
