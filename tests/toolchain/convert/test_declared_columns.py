"""What callers declare of columns becomes steps of the version, and leaves the comparison with the model as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import onnxlet
from onnxlet.cli import cli
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column, Steps, Tabular
from onnxlet.steps.ranges import Ranges
from onnxlet.toolchain.convert.declared_columns import read_declared_columns, with_declared_columns
from onnxlet.values.signature import Signature, TensorSpec
from patients import FEATURES, patients, pipeline

pytestmark = pytest.mark.toolchain

KNOWN = patients(400, 1)
APART = Steps(
    (
        Tabular(
            (
                Column("age", "FP32"),
                Column("count", "INT64"),
                Column("sex", "BYTES"),
                Column("smoker", "BOOL"),
                Column("dose", "FP32", missing=True),
            )
        ),
    )
)
GRAPH = Signature(
    (
        TensorSpec("age", "FP32", (-1, 1)),
        TensorSpec("count", "INT64", (-1, 1)),
        TensorSpec("sex", "BYTES", (-1, 1)),
        TensorSpec("smoker", "BOOL", (-1, 1)),
        TensorSpec("dose", "FP32", (-1, 1)),
    ),
    (TensorSpec("y", "FP32", (-1, 1)),),
)


def declared(**columns: dict[str, Any]) -> Steps:
    return with_declared_columns(read_declared_columns(columns), APART, GRAPH)


def test_ranges_stand_behind_the_columns_and_defaults_in_them() -> None:
    tabular, ranges = declared(age={"low": 0, "high": 120, "unit": "years", "default": 50}, sex={"values": ["f"]}).each
    assert isinstance(tabular, Tabular)
    assert isinstance(ranges, Ranges)
    assert tabular.columns[0] == Column("age", "FP32", 50)
    assert [each.told for each in ranges.columns] == ["from 0 to 120 years", "one of 1 values"]
    assert declared() == APART


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"doses": {"low": 0}}, "no column 'doses'; did you mean 'dose'"),
        ({"age": {"low": 2, "high": 1}}, "'age' goes from a low number to a high one"),
        ({"sex": {"low": 0}}, "list its 'values'"),
        ({"smoker": {"high": 1}}, "list its 'values'"),
        ({"age": {"default": "old"}}, "is no FP32"),
        ({"age": {"default": True}}, "is no FP32"),
        ({"count": {"default": 1.5}}, "is no INT64"),
        ({"sex": {"values": [1]}}, "is no BYTES"),
        ({"sex": {"values": ["f", "m"], "default": "x"}}, "none of its values"),
        ({"age": {"values": [0.1]}}, "are whole numbers"),
        ({"age": {"missing": True}}, "takes no missing values"),
        ({"dose": {"default": 1.0}}, "needs no default"),
        ({"age": {"lowest": 1}}, "unknown field `lowest`"),
        ({"age": {"low": "0"}}, "cannot be read as what columns may be"),
        ({"age": 7}, "cannot be read as what columns may be"),
    ],
)
def test_what_a_column_cannot_be_is_refused(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        declared(**columns)


def test_a_model_of_tensors_has_no_columns() -> None:
    with pytest.raises(InvalidInputError, match="the model takes tensors"):
        with_declared_columns(read_declared_columns({"age": {"low": 0}}), Steps(), GRAPH)


@pytest.mark.parametrize("content", ["", "[]", '{"age": []}'])
def test_a_file_that_declares_nothing_is_refused_by_its_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "columns.json").write_text(content)
    with pytest.raises(InvalidInputError, match="cannot be read as what columns may be"):
        read_declared_columns(tmp_path / "columns.json")


@pytest.fixture(scope="module")
def model() -> Any:  # noqa: ANN401 - scikit-learn has no types
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression

    return pipeline(LogisticRegression(max_iter=1000)).fit(KNOWN[list(FEATURES)], KNOWN["diagnosis"])


@pytest.fixture(autouse=True)
def own_store(directory_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONNXLET_STORE", directory_url)
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))


def test_rows_beyond_are_answered_as_the_model_answers_the_bound(model: Any) -> None:  # noqa: ANN401
    columns: dict[str, dict[str, Any]] = {
        "age": {"low": 30, "high": 60, "outside": "clip", "unit": "years"},
        "dose": {"low": 0, "high": 4, "outside": "flag"},
        "ward": {"values": ["surgery", "icu", "Åse"], "outside": "flag"},
    }
    shipped = onnxlet.ship(
        model, "diagnosis", data=KNOWN[[*FEATURES, "diagnosis"]], target="diagnosis", columns=columns, promote=True
    )
    assert shipped.manifest.contract is not None
    assert shipped.manifest.contract.holds
    rows = patients(200, 2)[list(FEATURES)]
    clipped = rows.assign(age=rows["age"].clip(30, 60))
    loaded = onnxlet.load("diagnosis")

    assert loaded.predict_proba(rows) == pytest.approx(model.predict_proba(clipped), abs=1e-5)
    assert not np.allclose(loaded.predict_proba(rows), model.predict_proba(rows), atol=1e-3)
    flags = loaded.answers(rows)["flags"]
    assert ["age" in text for text in flags] == (~rows["age"].between(30, 60)).tolist()
    beyond = rows["dose"].notna() & ~rows["dose"].astype(np.float32).between(0, 4)
    assert ["dose" in text for text in flags] == beyond.tolist()


def test_explanations_compare_with_rows_that_the_ranges_take(model: Any) -> None:  # noqa: ANN401
    columns = {"age": {"low": 40, "high": 60}}
    onnxlet.ship(model, "screened", data=KNOWN[list(FEATURES)], columns=columns, promote=True)
    rows = KNOWN[list(FEATURES)].query("40 <= age <= 60")[:1]
    explained = onnxlet.load("screened").explain(rows)
    assert np.abs(explained.sum_error) < 1e-6
    assert explained.background is not None
    assert explained.background.rows > 5


def test_the_command_takes_a_file(model: Any, tmp_path: Path) -> None:  # noqa: ANN401
    import joblib

    joblib.dump(model, tmp_path / "model.joblib")
    (tmp_path / "columns.json").write_text(json.dumps({"age": {"low": 0, "high": 120, "unit": "years"}}))
    KNOWN[[*FEATURES, "diagnosis"]].to_csv(tmp_path / "rows.csv", index=False)
    arguments = ["convert", str(tmp_path / "model.joblib"), "--trust", "--data", str(tmp_path / "rows.csv")]
    arguments += ["--target", "diagnosis", "-o", str(tmp_path / "model"), "--columns", str(tmp_path / "columns.json")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    steps = json.loads((tmp_path / "model" / "draft.json").read_text())["steps"]
    (ranges,) = (step for step in steps if step["kind"] == "ranges")
    assert ranges["columns"] == [{"name": "age", "low": 0.0, "high": 120.0, "unit": "years"}]
