"""Estimators in the caller's hands: converted as they are, and asked as users ask them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")
pytest.importorskip("pandas")

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from drafts import tabular_of
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.values.manifest import ReferenceOrigin

pytestmark = pytest.mark.toolchain


def patients(rows: int, seed: int) -> Any:  # noqa: ANN401
    """A frame of many types, with gaps, as a hospital has it."""
    random = np.random.default_rng(seed)
    age = random.integers(20, 90, rows)
    frame = pd.DataFrame(
        {
            "age": age.astype(np.int16),
            "marker ß": random.normal(size=rows).astype(np.float32),
            "ward": pd.Categorical(random.choice(["surgery", "Åse", "icu"], rows)),
            "smoker": random.random(rows) < 0.4,
            "dose": pd.array(np.where(random.random(rows) < 0.2, np.nan, random.normal(3, 1, rows)), dtype="float64"),
        }
    )
    ill = age + 20 * frame["smoker"] + random.normal(0, 5, rows) > 65
    return frame.assign(diagnosis=np.where(ill, "malignant", "benign"))


def pipeline() -> Any:  # noqa: ANN401
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["ward"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "marker ß", "dose"]),
        ("passthrough", ["smoker"]),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def test_a_pipeline_is_judged_by_its_own_predict_on_the_callers_frame(tmp_path: Path) -> None:
    known, fresh = patients(300, 1), patients(200, 2)
    model = pipeline().fit(known.drop(columns="diagnosis"), known["diagnosis"])

    draft = convert(model, tmp_path / "out", data=known, target="diagnosis")

    version = draft.provenance.versions["scikit-learn"]
    assert draft.reference == ReferenceOrigin("object", "scikit-learn", version)
    assert draft.provenance.source_digest is None
    assert draft.evaluations[-1].metrics["label_agreement"] == 1
    rows = fresh.drop(columns="diagnosis")
    columns = {name: rows[name].to_numpy() for name in rows}
    columns["ward"] = rows["ward"].astype(object).to_numpy()
    answers = trained.served_model(tmp_path / "out").predict(columns, "columns")
    assert answers["label"].tolist() == model.predict(rows).tolist()
    np.testing.assert_allclose(answers["probabilities"], model.predict_proba(rows), atol=1e-5)


def recording(model: Any, seen: list[Any]) -> Any:  # noqa: ANN401
    """The model, which keeps what its predict is given."""

    class Recording(type(model)):  # type: ignore[misc]
        def predict(self, rows: Any) -> Any:  # noqa: ANN401
            seen.append(rows)
            return super().predict(rows)

    model.__class__ = Recording
    return model


def test_the_model_is_asked_with_the_callers_own_types(tmp_path: Path) -> None:
    known = patients(200, 3)
    rows = known.drop(columns="diagnosis")
    seen: list[Any] = []
    model = recording(pipeline().fit(rows, known["diagnosis"]), seen)

    convert(model, tmp_path / "out", data=known[["diagnosis", *reversed(rows.columns)]], target="diagnosis")

    pd.testing.assert_frame_equal(seen[0], rows, check_dtype=True)


def test_arrays_are_taken_as_they_are(tmp_path: Path) -> None:
    features, target = trained.blobs()
    model = trained.fitted(RandomForestClassifier(10, random_state=0), features, target)

    draft = convert(model, tmp_path / "out", data=features, target=target)

    assert [column.name for column in tabular_of(draft).columns] == ["x0", "x1", "x2", "x3"]
    fresh = np.random.default_rng(7).normal(1, 2, (500, 4)).astype(np.float32)
    answers = trained.served_model(tmp_path / "out").predict({f"x{i}": fresh[:, i] for i in range(4)}, "columns")
    assert answers["label"].tolist() == model.predict(fresh).tolist()


def test_an_array_for_a_model_of_named_columns_has_their_names(tmp_path: Path) -> None:
    features, target = trained.slopes()
    model = LinearRegression().fit(pd.DataFrame(features, columns=trained.feature_names()), target)
    draft = convert(model, tmp_path / "out", data=features, target=target)
    assert [column.name for column in tabular_of(draft).columns] == trained.feature_names()


def test_without_data_a_live_model_is_compared_on_rows_made_for_it(tmp_path: Path) -> None:
    features, target = trained.blobs()
    draft = convert(trained.fitted(LogisticRegression(), features, target), tmp_path / "out")
    assert draft.reference is not None
    assert draft.reference.kind == "object"


def test_a_csv_file_is_read_by_pandas_for_the_model(tmp_path: Path) -> None:
    known = patients(200, 4)
    known.to_csv(tmp_path / "data.csv", index=False)
    read = pd.read_csv(tmp_path / "data.csv")
    seen: list[Any] = []
    model = recording(pipeline().fit(read.drop(columns="diagnosis"), read["diagnosis"]), seen)

    convert(model, tmp_path / "out", data=tmp_path / "data.csv", target="diagnosis")

    pd.testing.assert_frame_equal(seen[0], read.drop(columns="diagnosis"), check_dtype=True)


def test_the_callers_data_are_those_of_optimize_and_verify_too(tmp_path: Path) -> None:
    known = patients(200, 5)
    rows, target = known.drop(columns="diagnosis"), known["diagnosis"]
    convert(pipeline().fit(rows, target), tmp_path / "out", data=rows, target=target)

    optimize(tmp_path / "out", data=rows, target=target)
    contract = verify(tmp_path / "out", data=rows, target=target, slices=["smoker"])

    assert contract.holds
    assert contract.rows == 200
    assert "Reference: object, the model&#x27;s own answers (scikit-learn" in (tmp_path / "out/report.html").read_text()
    with pytest.raises(InvalidInputError, match="what the model itself answers to 'the data' is not known"):
        verify(tmp_path / "out", data=rows[:100], target=target[:100])


def test_the_draft_keeps_whose_answers_the_reference_is(tmp_path: Path) -> None:
    features, target = trained.blobs()
    draft = trained.converted(tmp_path, LogisticRegression(), features, target)
    assert draft.reference is not None
    assert draft.reference.kind == "object"
    assert read_draft(tmp_path / "out")[0].reference == draft.reference


def test_an_object_of_no_framework_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"a builtins\.dict is no model that can be converted.*sklearn"):
        convert({"weights": [1.0]}, tmp_path / "out")
    with pytest.raises(InvalidInputError, match="weights cannot be chosen for a LinearRegression"):
        convert(LinearRegression(), tmp_path / "out", weights=tmp_path / "weights")
    with pytest.raises(ConversionError, match="the LinearRegression was never fitted"):
        convert(LinearRegression(), tmp_path / "out")


def test_objects_are_recognized_without_importing_any_framework() -> None:
    code = (
        "import sys\nfrom onnxlet.toolchain.convert.frameworks import open_object\n"
        "from onnxlet.toolchain.convert.options import SourceOptions\nfrom onnxlet.errors import ConversionError\n"
        "try:\n    open_object(object(), SourceOptions(), progress=print)\nexcept ConversionError:\n    pass\n"
        "heavy = {'sklearn', 'xgboost', 'lightgbm', 'catboost', 'torch', 'keras', 'pandas'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
