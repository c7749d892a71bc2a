"""Encoders that refuse categories they do not know: the version refuses the same, and says which column and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert import convert

pytestmark = pytest.mark.toolchain


def patients() -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "stage": random.choice(["I", "II", "III"], 200).astype(object),
            "code": random.choice([1.0, 2.5, 3.1], 200),
            "age": random.normal(50, 9, 200),
        }
    )
    return frame, ((frame["age"] > 50) & (frame["stage"] != "I")).to_numpy()


def serve(stages: object, codes: object, directory: Path) -> tuple[Any, Any, pd.DataFrame]:
    """A pipeline of these two encoders, its version, and the rows that it was fitted with."""
    rows, target = patients()
    columns = make_column_transformer((stages, ["stage"]), (codes, ["code"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(rows, target)
    convert(model, directory, data=rows)
    return model, trained.served_model(directory), rows


def changed(rows: pd.DataFrame, column: str, value: float | str) -> dict[str, Any]:
    """Five rows, the fourth of which has this value."""
    some = rows.head(5).copy()
    some.loc[3, column] = value
    return {str(name): some[name].to_numpy() for name in some}


@pytest.mark.parametrize("encoder", [OneHotEncoder, OrdinalEncoder])
@pytest.mark.parametrize(("column", "value"), [("stage", "IV"), ("code", 7.0), ("code", 3.0999)])
def test_a_category_that_the_encoder_refuses_is_refused_by_column_and_row(
    encoder: type[Any], column: str, value: float | str, tmp_path: Path
) -> None:
    model, served, rows = serve(encoder(), encoder(), tmp_path / "out")
    with pytest.raises(ValueError, match="unknown categories"):
        model.predict(pd.DataFrame(changed(rows, column, value)))

    with pytest.raises(InvalidInputError, match=f"the column '{column}' holds a category .* in row 3") as caught:
        served.predict(changed(rows, column, value), "columns")
    assert str(value) not in str(caught.value)
    labels = served.predict(changed(rows, "age", 60.0), "columns")["label"]
    assert labels.tolist() == model.predict(pd.DataFrame(changed(rows, "age", 60.0))).tolist()


def test_encoders_that_take_others_refuse_none(tmp_path: Path) -> None:
    others = (
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    )
    model, served, rows = serve(*others, tmp_path / "out")
    for column, value in (("stage", "IV"), ("code", 7.0)):
        sent = changed(rows, column, value)
        assert served.predict(sent, "columns")["label"].tolist() == model.predict(pd.DataFrame(sent)).tolist()


@pytest.mark.parametrize("marker", [-9.0, np.float64(-9), np.int64(-9)])
def test_what_an_imputer_replaces_is_no_category(marker: float, tmp_path: Path) -> None:
    filled = make_pipeline(SimpleImputer(missing_values=marker, strategy="most_frequent"), OneHotEncoder())
    model, served, rows = serve(OneHotEncoder(), filled, tmp_path / "out")
    sent = changed(rows, "code", -9.0)
    assert served.predict(sent, "columns")["label"].tolist() == model.predict(pd.DataFrame(sent)).tolist()


def test_columns_of_arrays_are_refused_in_their_places(tmp_path: Path) -> None:
    frame, target = patients()
    rows = np.column_stack([frame["code"], frame["code"].sample(frac=1, random_state=0)])
    convert(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(rows, target), tmp_path / "out", data=rows)
    served = trained.served_model(tmp_path / "out")
    wrong = rows[:4].astype(np.float32)
    wrong[2, 1] = 7
    with pytest.raises(InvalidInputError, match=r"the column 'x1' holds a category .* in row 2"):
        served.predict({"features": wrong})
