"""Predictions over HTTP, from a real server: whatever rows look like, the answers are those of the model at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from onnx import TensorProto

import onnxlet
from doors import Shop
from models import tiny
from onnxlet.client import Client
from onnxlet.errors import InvalidInputError, NotFoundError
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.steps import Column, Steps, Tabular
from onnxlet.store import open_store
from onnxlet.values.refs import parse_ref
from scripted import Server, serving

ROWS = np.array([[1, 2, 3], [2, 2, 1], [0.1, 0.2, 0.3]], dtype=np.float32)
NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store holds one model of each kind."""
    folder = tmp_path_factory.mktemp("client")
    store = open_store((folder / "store").as_uri())
    tiny.publish(store, "diagnosis", tiny.classifier_package(folder / "one"))
    tiny.publish(store, "diagnosis", tiny.classifier_package(folder / "two", bias=50), alias="candidate")
    for name, model in {
        "two": tiny.two_inputs(),
        "strings": tiny.strings(),
        "integers": tiny.integers(),
        "vectors": tiny.embedder(),
        "sum": tiny.regressor(),
    }.items():
        tiny.publish(store, name, tiny.package(model, folder / name))
    Shop(store, folder / "shop").publish_echo("blobs", "BYTES", -1, output="y_bytes")
    patients = Tabular((Column("age", "FP32", missing=True), Column("sex", "BYTES", missing=True)))
    tiny.publish(store, "patients", tiny.package(tiny.column_inputs(), folder / "patients", steps=Steps((patients,))))
    gaps = Tabular(tuple(Column(name, "FP32", missing=True) for name in "abc"), input="x")
    echo = tiny.identity(shape=("N", 3))
    tiny.publish(store, "gaps", tiny.package(echo, folder / "gaps", steps=Steps((gaps,))))
    counts = Tabular((Column("number", "INT64", default=41),))
    nexts = tiny.identity(TensorProto.INT64, ("N", 1))
    tiny.publish(store, "counts", tiny.package(nexts, folder / "counts", steps=Steps((Tabular(counts.columns, "x"),))))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """`onnxlet serve` over that store."""
    with serving((folder / "store").as_uri(), folder / "cache") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A fresh client of it."""
    with onnxlet.connect(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def here(folder: Path) -> Predictor:
    """The same models in this process."""
    settings = Settings(cache_dir=str(folder / "here"))
    return Predictor(open_store((folder / "store").as_uri()), settings)


def expected(here: Predictor, ref: str, rows: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    return here.load(parse_ref(ref)).model.predict({"input": rows})


FORMS: dict[str, Any] = {
    "an array": ROWS,
    "an array of doubles": ROWS.astype(np.float64),
    "an array by columns": np.asfortranarray(ROWS),
    "rows": ROWS.tolist(),
    "records": [dict(zip(tiny.COLUMNS, row, strict=True)) for row in ROWS.tolist()],
    "columns": dict(zip(tiny.COLUMNS, ROWS.T.tolist(), strict=True)),
    "the model's tensor": {"input": ROWS},
    "a frame": pd.DataFrame(ROWS, columns=list(tiny.COLUMNS)),
    "a frame in another order": pd.DataFrame(ROWS, columns=list(tiny.COLUMNS))[["area", "radius", "texture"]],
    "a nullable frame": pd.DataFrame(ROWS, columns=list(tiny.COLUMNS)).convert_dtypes(),
    "objects": ROWS.astype(object),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_any_form_get_the_answers_of_the_model_itself_to_the_bit(
    client: Client, here: Predictor, form: str
) -> None:
    predictions = client.predict("diagnosis", FORMS[form])
    for name, tensor in expected(here, "diagnosis", ROWS).items():
        assert predictions[name].dtype == tensor.dtype
        np.testing.assert_array_equal(predictions[name], tensor)
    assert predictions.label.tolist() == ["benign", "malignant", "benign"]
    np.testing.assert_array_equal(client.predict_proba("diagnosis", FORMS[form]), predictions["probabilities"])


@pytest.mark.parametrize(
    ("ref", "version", "alias"),
    [
        ("diagnosis", 1, "production"),
        ("diagnosis:2", 2, None),
        ("diagnosis@candidate", 2, "candidate"),
        (parse_ref("diagnosis@candidate"), 2, "candidate"),
    ],
)
def test_predictions_say_which_version_made_them(client: Client, ref: Any, version: int, alias: str | None) -> None:  # noqa: ANN401
    predictions = client.predict(ref, ROWS)
    assert (predictions.model, predictions.version, predictions.alias) == ("diagnosis", version, alias)
    assert not predictions.stale
    assert not predictions.fallback
    assert f"diagnosis:{version}" in repr(predictions)


def test_a_frame_has_its_rows_index_and_a_column_for_each_number(client: Client) -> None:
    rows = pd.DataFrame(ROWS, columns=list(tiny.COLUMNS), index=["anna", "ben", "cleo"])
    predictions = client.predict("diagnosis", rows)
    frame = predictions.to_frame()
    assert list(frame) == ["label", "probability", "probabilities.0", "probabilities.1"]
    assert frame.loc["ben", "label"] == "malignant"
    assert "cleo" in str(predictions._repr_html_())
    assert list(client.predict("diagnosis", ROWS).to_frame().index) == [0, 1, 2]


def test_some_outputs_can_be_asked_for(client: Client) -> None:
    assert list(client.predict("diagnosis", ROWS, outputs=["probability", "label"])) == ["probability", "label"]
    with pytest.raises(InvalidInputError, match=r"no output 'score', only 'label', 'probability', 'probabilities'"):
        client.predict("diagnosis", ROWS, outputs=["score"])


@pytest.mark.parametrize("none", [None, NAN, np.float32("nan"), pd.NA, pd.NaT])
@pytest.mark.parametrize("form", ["records", "columns", "frame", "rows", "array"])
def test_missing_cells_are_missing_values_in_any_form(client: Client, form: str, none: Any) -> None:  # noqa: ANN401
    cells = [[1.5, none, 2.0], [none, 3.0, 4.0], [5.0, 6.0, 7.0]]
    columns = [list(column) for column in zip(*cells, strict=True)]
    given = {
        "records": [dict(zip("abc", row, strict=True)) for row in cells],
        "columns": dict(zip("abc", columns, strict=True)),
        "frame": pd.DataFrame(dict(zip("abc", columns, strict=True)), dtype=object),
        "rows": cells,
        "array": np.array(cells, dtype=object),
    }[form]
    answered = client.predict("gaps", given)["y"]
    np.testing.assert_array_equal(answered, [[1.5, NAN, 2], [NAN, 3, 4], [5, 6, 7]])


def test_texts_and_numbers_side_by_side_with_missing_ones_of_both(client: Client) -> None:
    frame = pd.DataFrame({"sex": ["male", None, "female"], "age": [40.0, 50.0, NAN]})
    np.testing.assert_array_equal(client.predict("patients", frame)["prediction"], [[42], [50], [NAN]])
    rows = [[40.0, "male"], [50.0, None]]
    np.testing.assert_array_equal(client.predict("patients", rows)["prediction"], [[42], [50]])


def test_what_a_record_leaves_out_has_its_default_and_null_is_refused_where_there_is_none(client: Client) -> None:
    [label] = client.predict("diagnosis", [{"radius": 2, "texture": 2}]).label
    assert label == "malignant"
    with pytest.raises(InvalidInputError, match="radius") as refused:
        client.predict("diagnosis", [{"radius": None, "texture": 2}])
    assert refused.value.context["status"] == 400


def test_integers_that_a_frame_made_floats_of_stay_integers(client: Client) -> None:
    frame = pd.DataFrame({"number": [7, None, 2**50]})
    assert frame["number"].dtype == np.float64
    assert client.predict("counts", frame)["y"].tolist() == [[7], [41], [2**50]]
    assert client.predict("counts", pd.DataFrame({"number": [True, False]}))["y"].tolist() == [[1], [0]]
    with pytest.raises(InvalidInputError, match="integer"):
        client.predict("counts", pd.DataFrame({"number": [7.5]}))


def test_64_bit_integers_pass_exactly(client: Client) -> None:
    numbers = np.array([2**63 - 2, -(2**63), 2**53 + 1])
    np.testing.assert_array_equal(client.predict("integers", numbers)["next"], numbers + 1)


def test_texts_of_any_script_pass(client: Client) -> None:
    texts = ["naïve", "日本語", 'say "hi"\\', "", "\U0001d6fc"]
    for given in (texts, np.array(texts), pd.DataFrame({"text": texts}), np.array(texts, dtype=object)):
        assert client.predict("strings", given)["same"].tolist() == texts


def test_bytes_pass_as_base64(client: Client) -> None:
    assert client.predict("blobs", [b"abc", "abc"])["y_bytes"].tolist() == [b"abc", b"abc"]


def test_nan_and_the_infinities_are_numbers_of_a_tensor(client: Client) -> None:
    left = np.array([[1, NAN], [INFINITY, -INFINITY]], dtype=np.float32)
    predictions = client.predict("two", {"left": left, "right": np.ones((2, 2), np.float32)})
    np.testing.assert_array_equal(predictions["sum"], left + 1)


def test_tensors_of_more_dimensions_pass(client: Client) -> None:
    answered = client.predict("vectors", {"ids": [[0, 1], [2, 3]]})["vectors"]
    np.testing.assert_array_equal(answered, [[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    assert list(client.predict("vectors", [[0, 1]]).to_frame()) == ["vectors.0", "vectors.1", "vectors.2", "vectors.3"]


@pytest.mark.parametrize(
    ("model", "rows", "told"),
    [
        ("diagnosis", [], "no rows"),
        ("diagnosis", pd.DataFrame(columns=list(tiny.COLUMNS)), "no rows"),
        ("diagnosis", 3.0, "not 'float'"),
        ("diagnosis", "diagnosis.csv", "not 'str'"),
        ("diagnosis", np.array(3.0), "one entry per row"),
        ("diagnosis", {"radius": 1, "texture": [2]}, "'radius' is a single value"),
        ("diagnosis", {"radius": [1], "texture": [2, 3]}, "differ in length"),
        ("diagnosis", {"radius": [1], "weight": [2]}, "does not know 'weight', only 'radius', 'texture', 'area'"),
        ("diagnosis", pd.DataFrame(ROWS), r"to_numpy\(\)"),
        ("diagnosis", pd.DataFrame(ROWS, columns=["radius", "area", "area"]), "two columns"),
        ("diagnosis", {"radius": np.array(["2026-11-28"], "M8[D]"), "texture": [1]}, "datetime64"),
        ("diagnosis", {"radius": [object()], "texture": [1]}, "neither a number nor a text"),
        ("diagnosis", ROWS[:, :2], "shape"),
        ("diagnosis", [[1, 2], [3]], "instances|inputs"),
        ("gaps", [[1.0, None]], "takes 3 columns, these rows have 2"),
        ("two", ROWS, "'left', 'right': pass a dict"),
        ("sum", {"input": [["a", "b"]]}, "number"),
    ],
)
def test_what_is_wrong_with_rows_is_told(client: Client, model: str, rows: Any, told: str) -> None:  # noqa: ANN401
    with pytest.raises(InvalidInputError, match=told):
        client.predict(model, rows)


def test_what_a_model_has_not_is_told(client: Client) -> None:
    with pytest.raises(InvalidInputError, match="no label, only 'prediction'"):
        _ = client.predict("sum", [[1.0, 2.0]]).label
    with pytest.raises(InvalidInputError, match="no probabilities, only 'prediction'"):
        client.predict_proba("sum", [[1.0, 2.0]])
    with pytest.raises(InvalidInputError, match="batch_size"):
        client.predict("sum", [[1.0, 2.0]], batch_size=0)


def test_refs_that_lead_nowhere_are_told(client: Client) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        client.predict("nobody", ROWS)
    with pytest.raises(NotFoundError, match="9"):
        client.predict("diagnosis:9", ROWS)
    with pytest.raises(InvalidInputError, match="canary"):
        client.predict("diagnosis@canary", ROWS)


def test_metadata_names_inputs_columns_and_outputs(client: Client) -> None:
    metadata = client.metadata("diagnosis@candidate")
    assert (metadata.model, metadata.version) == ("diagnosis", 2)
    assert [(spec.name, spec.datatype, spec.shape) for spec in metadata.inputs] == [("input", "FP32", (-1, 3))]
    assert [spec.name for spec in metadata.columns] == list(tiny.COLUMNS)
    assert [spec.name for spec in metadata.outputs] == ["label", "probability", "probabilities"]


def test_a_client_follows_an_alias_to_a_version_that_takes_something_else(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    store = open_store((folder / "store").as_uri())
    tiny.publish(store, "moving", tiny.package(tiny.regressor(), tmp_path / "one"))
    assert client.predict("moving", [[1.0, 2.0]])["prediction"].tolist() == [6.0]
    tiny.publish(store, "moving", tiny.package(tiny.strings(), tmp_path / "two"))
    predictions = client.predict("moving", ["a"])
    assert (predictions.version, predictions["same"].tolist()) == (2, ["a"])
    tiny.publish(store, "moving", tiny.classifier_package(tmp_path / "three"))
    assert client.predict("moving", {"radius": [2], "texture": [2]}).label.tolist() == ["malignant"]
    Registry(store).promote("moving", 2)
    assert client.predict("moving", ["b"])["same"].tolist() == ["b"]


def test_rows_by_their_order_are_in_that_of_the_version_that_answers(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    store = open_store((folder / "store").as_uri())
    rows = np.array([[1.0, NAN, 3.0]])
    for order in ("abc", "cba"):
        columns = Tabular(tuple(Column(name, "FP32", missing=True) for name in order), input="x")
        echo = tiny.package(tiny.identity(shape=("N", 3)), tmp_path / order, steps=Steps((columns,)))
        tiny.publish(store, "order", echo)
        predictions = client.predict("order", rows)
        np.testing.assert_array_equal(predictions["y"], rows)
        assert predictions.alias == "production"
    assert predictions.version == 2


def test_an_output_that_the_version_that_answers_has_no_more_is_told(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    store = open_store((folder / "store").as_uri())
    tiny.publish(store, "outputs", tiny.classifier_package(tmp_path / "one"))
    assert client.predict("outputs", ROWS, outputs=["probability"]).version == 1
    tiny.publish(store, "outputs", tiny.package(tiny.identity(shape=("N", 3)), tmp_path / "two"))
    with pytest.raises(InvalidInputError, match="no output 'probability', only 'y'"):
        client.predict("outputs", ROWS, outputs=["probability"])


def test_a_client_of_many_threads_gets_every_answer_right(client: Client) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def double(number: int) -> float:
        return float(client.predict("sum", [[float(number), 0.0]])["prediction"][0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(double, range(64))) == [2.0 * number for number in range(64)]
