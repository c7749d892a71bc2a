"""What columns may be: values beyond are refused, clipped or flagged, by every way in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from doors import Shop
from models import tiny
from onnxlet.batch.local_files import score_path
from onnxlet.errors import InvalidInputError, RejectedModelError, UnknownStepError
from onnxlet.steps import Column, Steps, Tabular, decode_steps
from onnxlet.steps.base import FLAGS
from onnxlet.steps.ranges import LONGEST_HEADER, Range, Ranges, flags_header
from onnxlet.store import Store
from onnxlet.telemetry.embedded import EmbeddedMetrics
from onnxlet.telemetry.recording import Telemetry
from onnxlet.values.manifest import Draft
from onnxlet.values.refs import parse_ref
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensor, Tensors
from telemetry.embedded_metric_format import check as check_line

quickly = settings(max_examples=50, deadline=None)
MATRIX = (TensorSpec("x", "FP32", (-1, 2)),)


def check(tensor: Tensor, *columns: Range) -> Tensors:
    """What becomes of a matrix of the columns, in their order."""
    placed = tuple(msgspec.structs.replace(each, place=place) for place, each in enumerate(columns))
    datatype = "FP32" if tensor.dtype == np.float32 else "FP64" if tensor.dtype == np.float64 else "INT64"
    apply = Ranges(placed, "x").preprocessor((TensorSpec("x", datatype, (-1, len(columns))),))
    assert apply is not None
    return apply({"x": tensor})


numbers = st.floats(width=32, allow_nan=True, allow_infinity=True)
bounds = st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32)).map(sorted)


@quickly
@given(arrays(np.float32, st.integers(1, 12), elements=numbers), bounds)
def test_values_are_clipped_and_flagged_as_pandas_says(values: Tensor, ends: list[float]) -> None:
    low, high = ends
    series = pd.Series(values)
    beyond = ~series.between(low, high) & series.notna()

    made = check(values.reshape(-1, 1), Range("age", low, high, outside="clip"))
    flagged = check(values.reshape(-1, 1), Range("age", low, high, outside="flag"))

    np.testing.assert_array_equal(made["x"][:, 0], series.clip(low, high).to_numpy(np.float32))
    np.testing.assert_array_equal(flagged["x"][:, 0], values)
    for each in (made, flagged):
        assert each[FLAGS].tolist() == ["age" if is_beyond else "" for is_beyond in beyond]
    if beyond.any():
        with pytest.raises(
            InvalidInputError, match=rf"'age' is out of its range in row {int(np.argmax(beyond))}: from"
        ):
            check(values.reshape(-1, 1), Range("age", low, high))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_sent_as_the_bound_is_in_the_range(dtype: Any) -> None:  # noqa: ANN401
    values = np.array([[0.1], [0.7]], dtype)
    assert check(values, Range("dose", 0.1, 0.7, outside="flag"))[FLAGS].tolist() == ["", ""]


def test_whole_numbers_are_clipped_to_whole_numbers_in_the_range() -> None:
    made = check(np.array([[-5], [3], [2**62]]), Range("count", 0.5, 3.5, outside="clip"))
    assert made["x"].tolist() == [[1], [3], [3]]
    assert check(np.array([[2**62]]), Range("count", -1e300, 1e300, outside="flag"))[FLAGS].tolist() == [""]


def test_several_columns_are_told_in_their_order_and_the_matrix_that_was_sent_stays() -> None:
    sent = np.array([[200.0, -1.0], [50.0, 5.0], [50.0, 11.0]], np.float32)
    kept = sent.copy()
    made = check(sent, Range("age, years", 0, 120, outside="clip"), Range("dose", 0, 10, outside="flag"))
    assert made[FLAGS].tolist() == ["age%2C years, dose", "", "dose"]
    assert made["x"].tolist() == [[120, -1], [50, 5], [50, 11]]
    assert (sent == kept).all()
    assert flags_header(made[FLAGS]) == "dose:2,age%2C%20years:1"


def test_missing_values_are_in_every_range_unless_they_are_refused() -> None:
    values = np.array([[1.0], [np.nan]], np.float32)
    assert check(values, Range("age", 0, 120, outside="flag"))[FLAGS].tolist() == ["", ""]
    with pytest.raises(InvalidInputError, match="'age' is out of its range in row 1: no missing value is taken"):
        check(values, Range("age", missing=False))


def test_listed_values_are_taken_and_no_others() -> None:
    step = Ranges((Range("sex", values=("f", "m"), outside="flag"), Range("grade", values=(1, 2))))
    apply = step.preprocessor((TensorSpec("sex", "BYTES", (-1, 1)), TensorSpec("grade", "INT64", (-1,))))
    assert apply is not None
    made = apply({"sex": np.array([["f"], ["x"], [""]], object), "grade": np.array([1, 2, 2])})
    assert made[FLAGS].tolist() == ["", "sex", ""]
    with pytest.raises(InvalidInputError, match="'grade' is out of its range in row 0: one of 2 values"):
        apply({"sex": np.array([["f"]], object), "grade": np.array([3])})


@quickly
@given(st.lists(st.lists(st.text(min_size=1, max_size=30).filter(str.strip), max_size=4, unique=True), max_size=20))
def test_the_header_is_short_plain_and_counts_every_flag(rows: list[list[str]]) -> None:
    names = sorted({name for row in rows for name in row})
    if not names:
        return
    outside = np.array([[name in row for name in names] for row in rows])
    values = np.where(outside, 2.0, 0.5).astype(np.float32)
    made = check(values, *(Range(name, 0, 1, outside="flag") for name in names))
    header = flags_header(made[FLAGS])
    assert header.isascii()
    assert header.isprintable()
    assert len(header) <= LONGEST_HEADER + 10
    told = dict(part.rsplit(":", 1) for part in header.split(",") if part)
    assert sum(map(int, told.values())) == outside.sum()
    for name, count in told.items():
        if name != "*":
            assert int(count) == outside[:, names.index(unquote(name))].sum()


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ({"low": 2, "high": 1}, "from a low number to a high"),
        ({"values": ["a"], "outside": "clip"}, "cannot be clipped"),
        ({"values": [1], "low": 1}, "has values or a range"),
        ({"outside": "ignore"}, "Invalid enum value"),
        ({"step": 1}, "unknown field"),
    ],
)
def test_what_is_no_range_is_refused(column: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnknownStepError, match=reason):
        decode_steps([{"kind": "ranges", "columns": [{"name": "age", **column}]}])


def test_a_range_without_its_place_at_the_graph_is_refused() -> None:
    for columns, graph_input, reason in (
        ((Range("age", 0, 1, place=2),), "x", "'age' has no place"),
        ((Range("age", 0, 1),), None, "'age', which the graph lacks"),
    ):
        with pytest.raises(RejectedModelError, match=reason):
            Ranges(columns, graph_input).preprocessor(MATRIX)
    with pytest.raises(RejectedModelError, match="a range is of numbers"):
        Ranges((Range("sex", 0, 1),)).preprocessor((TensorSpec("sex", "BYTES", (-1,)),))


# --- served -----------------------------------------------------------------------------------------------------------

DECLARED = Ranges(
    (
        Range("radius", 0, 30, outside="refuse", unit="mm"),
        Range("texture", 0, 40, outside="flag", place=1),
        Range("area", 0, 2500, outside="clip", place=2),
    ),
    "input",
)
ROWS = [
    {"radius": 2.0, "texture": 2.0, "area": 1.0},
    {"radius": 1.0, "texture": 50.0, "area": 3000.0},
    {"radius": 1.0, "texture": 50.0, "area": 2500.0},
]


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    telemetry = Telemetry()
    telemetry.watch_with(lambda: EmbeddedMetrics("predict"))
    shop = Shop(store, tmp_path / "shop", telemetry=telemetry)
    tiny.publish(store, "diagnosis", declared(tmp_path / "model"))
    return shop


def declared(folder: Path) -> tuple[Draft, dict[str, Path]]:
    draft, files = tiny.classifier_package(folder)
    tabular, classification = decode_steps(draft.steps).each
    steps = Steps((tabular, DECLARED, classification))
    return msgspec.structs.replace(draft, steps=steps.documents, signature=steps.served(draft.graph)), files


def test_rows_and_matrices_are_flagged_in_v1_and_v2(shop: Shop) -> None:
    matrix = [[row[name] for name in ("radius", "texture", "area")] for row in ROWS]
    v1 = [shop.predict("diagnosis", json.dumps({"instances": sent})) for sent in (ROWS, matrix)]
    inputs = [{"name": name, "datatype": "FP32", "shape": [3], "data": [row[name] for row in ROWS]} for name in ROWS[0]]
    v2 = shop.send("POST", "/v2/models/diagnosis/infer", json.dumps({"inputs": inputs}))
    asked = shop.send(
        "POST", "/v2/models/diagnosis/infer", json.dumps({"inputs": inputs, "outputs": [{"name": "label"}]})
    )

    for answer in v1:
        told = json.loads(answer.body)["predictions"]
        assert [row["flags"] for row in told] == ["", "texture, area", "texture"]
        assert told[1]["probability"] == told[2]["probability"], "3000 is read as 2500"
    outputs = {each["name"]: each for each in json.loads(v2.body)["outputs"]}
    assert outputs["flags"]["data"] == ["", "texture, area", "texture"]
    assert [each["name"] for each in json.loads(asked.body)["outputs"]] == ["label"]
    assert {answer.headers["X-Onnxlet-Flags"] for answer in (*v1, v2, asked)} == {"texture:2,area:1"}
    assert "X-Onnxlet-Flags" not in shop.predict("diagnosis", json.dumps({"instances": ROWS[:1]})).headers


def test_flagged_rows_and_values_are_metrics(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.predict("diagnosis", json.dumps({"instances": ROWS}))
    shop.predict("diagnosis", json.dumps({"instances": ROWS[:2]}))
    shop.predictor.telemetry.flush()
    (line,) = (each for line in capsys.readouterr().out.splitlines() if "Flags" in (each := check_line(line)))
    assert (line["Flags"], line["OutOfRangeInputs"]) == (3, 5)
    assert "MissingInputs" not in line


def test_flags_alone_may_be_asked_for(shop: Shop) -> None:
    model = shop.predictor.served(parse_ref("diagnosis")).model
    only = model.predict({"input": np.array([[1, 50, 1]], np.float32)}, outputs=["flags"])
    assert {name: tensor.tolist() for name, tensor in only.items()} == {"flags": ["texture"]}


def test_flagged_rows_are_counted(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.predict("diagnosis", json.dumps({"instances": ROWS}))
    shop.predictor.telemetry.flush()
    lines = map(check_line, capsys.readouterr().out.splitlines())
    assert sum(line.get("Flags", 0) for line in lines) == 2


def test_a_value_that_is_refused_is_a_400_that_says_the_range_and_not_the_value(shop: Shop) -> None:
    answer = shop.predict("diagnosis", json.dumps({"instances": [*ROWS, {**ROWS[0], "radius": 31.25}]}))
    assert answer.status == 400
    assert b"'radius' is out of its range in row 3: from 0 to 30 mm is taken" in answer.body
    assert b"31.25" not in answer.body


def test_scored_files_have_flags_and_refused_rows_apart(shop: Shop, tmp_path: Path) -> None:
    source, scored = tmp_path / "rows.csv", tmp_path / "scored.csv"
    source.write_text("radius,texture,area\n2,2,1\n99,2,1\n1,50,3000\n")
    book = score_path(shop.predictor, parse_ref("diagnosis"), source, scored)
    assert book is not None
    told = pd.read_csv(scored, keep_default_na=False)
    assert told["flags"].tolist() == ["", "texture, area"]
    (error,) = (tmp_path / "scored.csv.errors.jsonl").read_text().splitlines()
    assert json.loads(error) == {
        "row": 2, "error": "the model takes no such value", "column": "radius", "byte": 26
    }  # fmt: skip


def test_refused_rows_among_many_are_set_aside_and_all_others_scored(shop: Shop, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    radius = random.uniform(0, 40, 5000).round(3)
    source, scored = tmp_path / "rows.csv", tmp_path / "scored.csv"
    pd.DataFrame({"radius": radius, "texture": 2.0, "area": 1.0}).to_csv(source, index=False)
    score_path(shop.predictor, parse_ref("diagnosis"), source, scored)
    told = pd.read_csv(scored)
    assert told["row"].tolist() == (np.nonzero(radius <= 30)[0] + 1).tolist()
    assert told["radius"].tolist() == radius[radius <= 30].tolist()


def test_a_regressors_own_outputs_are_served_beside_flags(store: Store, tmp_path: Path) -> None:
    tabular = Tabular((Column("a", "FP32"), Column("b", "FP32")), "input")
    steps = Steps((tabular, Ranges((Range("b", 0, 1, outside="flag", place=1),), "input")))
    draft, files = tiny.package(tiny.regressor(), tmp_path / "model", steps=steps)
    draft = msgspec.structs.replace(draft, signature=steps.served(draft.graph))
    shop = Shop(store, tmp_path / "shop")
    tiny.publish(store, "sum", (draft, files))
    answer = shop.predict("sum", json.dumps({"instances": [{"a": 1.0, "b": 2.0}]}))
    assert json.loads(answer.body)["predictions"] == [{"prediction": 6.0, "flags": "b"}]


@pytest.mark.parametrize("graph_input", ["flags", "age"])
def test_flags_are_not_mixed_up_with_what_the_graph_has(graph_input: str) -> None:
    graph = Signature(
        (TensorSpec("age", "FP32", (-1,)), TensorSpec(graph_input, "FP32", (-1,))),
        (TensorSpec("y" if graph_input == "flags" else "flags", "FP32", (-1,)),),
    )
    steps = Steps((Ranges((Range("age", 0, 120, outside="flag"),)),))
    with pytest.raises(RejectedModelError, match="a step adds flags, which the graph has already"):
        steps.check(graph, steps.served(graph))
