"""What a signature of MLflow says of columns becomes the tabular step: truth values, texts that may be left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from onnxlet.steps import Column, Tabular, decode_steps
from onnxlet.toolchain.convert import convert

pytest.importorskip("sklearn")
yaml = pytest.importorskip("yaml")
joblib = pytest.importorskip("joblib")
pytestmark = pytest.mark.toolchain

SIGNED = [
    {"type": "double", "name": "age", "required": True},
    {"type": "boolean", "name": "smoker", "required": True},
    {"type": "string", "name": "ward", "required": False},
]
WARDS = np.array(["icu", "surgery", ""], dtype=object)


def directory(folder: Path, model: Any, columns: list[dict[str, Any]]) -> Path:  # noqa: ANN401
    """A directory as MLflow lays it out."""
    folder.mkdir()
    joblib.dump(model, folder / "model.pkl")
    document = {
        "flavors": {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "pickle"}},
        "mlflow_version": "3.1.0",
        "signature": {"inputs": json.dumps(columns), "outputs": None},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return folder


def columns_of(draft: Any) -> dict[str, Column]:  # noqa: ANN401
    (tabular,) = (step for step in decode_steps(draft.steps).each if isinstance(step, Tabular))
    return {column.name: column for column in tabular.columns}


@pytest.mark.parametrize("with_data", [True, False], ids=["data of 0 and 1", "no data"])
def test_columns_that_are_signed_as_truth_values_are_served_so(tmp_path: Path, with_data: bool) -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    matrix = np.stack([random.normal(size=200), random.integers(0, 2, 200)], axis=1)
    model = LogisticRegression().fit(matrix, matrix[:, 0] + matrix[:, 1] > 0.5)
    pd.DataFrame({"age": matrix[:, 0], "smoker": matrix[:, 1].astype(int)}).to_csv(tmp_path / "rows.csv", index=False)
    source = directory(tmp_path / "signed", model, SIGNED[:2])
    draft = convert(source, tmp_path / "model", trust=True, data=tmp_path / "rows.csv" if with_data else None)
    assert [column.datatype for column in columns_of(draft).values()] == ["FP32", "BOOL"]


def test_texts_that_rows_may_leave_out_are_empty_then(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"age": random.normal(size=200), "smoker": random.random(200) < 0.4, "ward": random.choice(WARDS, 200)}
    )
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["ward"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(rows, rows["age"] > 0)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    draft = convert(
        directory(tmp_path / "signed", model, SIGNED), tmp_path / "model", trust=True, data=tmp_path / "rows.csv"
    )
    ward = columns_of(draft)["ward"]
    assert (ward.default, ward.missing) == ("", True)
    assert columns_of(draft)["age"].default is None


def test_numbers_that_rows_may_leave_out_are_null_where_the_model_takes_that(tmp_path: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    rows = pd.DataFrame({"age": random.normal(size=200), "dose": random.normal(size=200)})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    signed = [{"type": "double", "name": "age", "required": False}, {"type": "long", "name": "dose", "required": True}]
    for name, model, takes, how in (
        ("boosted", HistGradientBoostingClassifier(max_iter=3), True, "send null for it"),
        ("linear", LogisticRegression(), False, "the model needs it"),
    ):
        said: list[str] = []
        source = directory(tmp_path / name, model.fit(rows, rows["age"] > 0), signed)
        draft = convert(
            source, tmp_path / f"{name}-out", trust=True, data=tmp_path / "rows.csv", on_progress=said.append
        )
        columns = columns_of(draft)
        assert (columns["age"].datatype[:2], columns["age"].missing) == ("FP", takes)
        assert f"the signature lets rows leave 'age' out: {how}" in said
