"""A version sent to where rows are: the same answers as a scored file, in the caller's own kind of table."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from arro3.core import Table
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import onnxlet
from laboratory import Laboratory, background_of, product
from models import tiny
from onnxlet.batch.local_files import score_path
from onnxlet.batch.scoring import Options
from onnxlet.cli.root import cli
from onnxlet.errors import IntegrityError, InvalidInputError, ModelNotFoundError
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.refs import parse_ref


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))
    url = (tmp_path / "store").as_uri()
    tiny.publish(open_store(url), "diagnosis", tiny.classifier_package(tmp_path / "model"))
    return url


def make_rows(count: int = 5000) -> pa.Table:
    rng = np.random.default_rng(0)
    radius = rng.normal(size=count).astype(np.float32)
    texture: list[float] = list(map(float, rng.normal(size=count)))
    if count > 2:
        texture[2] = 1e39  # beyond float32
    return pa.table({"id": [f"p{place}" for place in range(count)], "radius": radius, "texture": texture})


def score_file(store: str, folder: Path, rows: pa.Table) -> pa.Table:
    pq.write_table(rows, folder / "rows.parquet")
    predictor = Workspace(store).make_predictor()
    score_path(predictor, parse_ref("diagnosis"), folder / "rows.parquet", folder / "scored.parquet")
    return pq.read_table(folder / "scored.parquet")


def test_answers_are_those_of_a_scored_file_bit_for_bit_and_bad_rows_say_why(store: str, tmp_path: Path) -> None:
    rows = make_rows()
    answered = onnxlet.Scorer(store, "diagnosis")(rows)
    filed = score_file(store, tmp_path, rows)
    good = answered.filter(pc.is_null(answered["error"]))
    assert good.column_names == [*(name for name in filed.column_names if name != "row"), "error"]
    for name in filed.column_names:
        if name != "row":
            assert good[name].to_pylist() == filed[name].to_pylist()
            assert good.schema.field(name).type == filed.schema.field(name).type
    bad = answered.slice(2, 1).to_pylist()[0]
    assert bad["error"] == "column 'texture': out of range for FP32"
    assert (bad["id"], bad["label"], bad["model_version"]) == ("p2", None, 1)


def test_a_data_frame_comes_back_as_one_with_its_own_index_and_types(store: str) -> None:
    frame = make_rows(50).to_pandas().set_index(pd.Index(range(100, 150)))
    frame["ward"] = frame["id"].astype("category")
    answered = onnxlet.Scorer(store, "diagnosis")(frame)
    assert answered.index.tolist() == frame.index.tolist()
    pd.testing.assert_frame_equal(answered[frame.columns.tolist()], frame)
    assert answered["error"].notna().sum() == 1
    assert "__index_level_0__" not in answered


@pytest.mark.parametrize("count", [0, 1, 50])
def test_every_kind_of_table_of_any_length_comes_back_as_what_it_was(store: str, count: int) -> None:
    scorer = onnxlet.Scorer(store, "diagnosis", keep=["id"])
    table = make_rows(50).slice(0, count)
    given: list[Any] = [table, table.to_pandas(), Table.from_arrow(table)]
    given += table.combine_chunks().to_batches()
    for rows in given:
        answered = scorer(rows)
        assert type(answered) is type(rows)
        names = answered.columns.tolist() if isinstance(rows, pd.DataFrame) else answered.schema.names
        assert names[0] == "id"
        assert list(names[-2:]) == ["model_version", "error"]
        assert "radius" not in names


def test_it_is_pickled_without_the_model_and_stays_with_the_version_that_it_was_made_for(
    store: str, tmp_path: Path
) -> None:
    scorer = onnxlet.Scorer(store, "diagnosis")
    scorer(make_rows(3))
    sent = pickle.dumps(scorer)
    assert len(sent) < 1000
    tiny.publish(open_store(store), "diagnosis", tiny.classifier_package(tmp_path / "second", bias=1.0))
    assert Registry(open_store(store), who="tests").alias("diagnosis")[0].routes[0].version == 2
    arrived = pickle.loads(sent)  # noqa: S301 - our own
    assert arrived(make_rows(3))["model_version"].to_pylist() == [1, 1, 1]
    assert repr(arrived) == f"Scorer({store!r}, 'diagnosis:1')"


def test_another_store_with_another_version_of_that_number_is_not_asked(store: str, tmp_path: Path) -> None:
    other = (tmp_path / "other").as_uri()
    tiny.publish(open_store(other), "diagnosis", tiny.classifier_package(tmp_path / "model2", bias=1.0))
    scorer = onnxlet.Scorer(store, "diagnosis")
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "other").rename(tmp_path / "store")
    with pytest.raises(IntegrityError, match="diagnosis:1 has another manifest here than where it was pinned"):
        scorer(make_rows(3))


def test_spark_is_told_what_is_added_in_its_own_words(store: str) -> None:
    told = onnxlet.Scorer(store, "diagnosis").ddl
    assert told.startswith("`label` STRING, ")
    assert told.endswith("`model_version` INT, `error` STRING")


def test_what_is_no_table_is_refused_with_what_is_one(store: str) -> None:
    with pytest.raises(InvalidInputError, match=r'builtins\.dict is no table .* \(Ray: batch_format="pyarrow"\)'):
        onnxlet.Scorer(store, "diagnosis")({"radius": np.zeros(3)})


def test_columns_that_lack_are_named(store: str) -> None:
    with pytest.raises(InvalidInputError, match="'texture'"):
        onnxlet.Scorer(store, "diagnosis")(make_rows(3).drop(["texture"]))


def test_a_model_that_is_not_there_is_known_before_any_worker_starts(store: str) -> None:
    with pytest.raises(ModelNotFoundError, match="'diagnosis'"):
        onnxlet.Scorer(store, "diagnoses")


def test_rows_are_explained_where_they_are_as_in_a_scored_file(store: str, tmp_path: Path) -> None:
    background = background_of(12, 2)
    laboratory = Laboratory(open_store(store), tmp_path)
    product(laboratory, features=2, columns="ab", background={"a": background[:, 0], "b": background[:, 1]})
    rows = pa.table({"a": [0.5, 1.5], "b": [-2.0, 3.0]})
    scorer = pickle.loads(pickle.dumps(onnxlet.Scorer(store, "product", explain=True)))  # noqa: S301 - our own
    answered = scorer(rows)
    pq.write_table(rows, tmp_path / "rows.parquet")
    options = Options(explain={})
    score_path(
        laboratory.predictor, parse_ref("product"), tmp_path / "rows.parquet", tmp_path / "o.parquet", options=options
    )
    filed = pq.read_table(tmp_path / "o.parquet")
    for name in ("explained", "expected", "attribution_a", "attribution_b"):
        assert answered[name].to_pylist() == filed[name].to_pylist()
    assert "DOUBLE" in scorer.ddl
    with pytest.raises(InvalidInputError, match="gradients are not computed"):
        onnxlet.Scorer(store, "product", explain={"method": "gradients"})


def test_networks_are_laid_out_for_the_machine_as_the_command_has_them(store: str, tmp_path: Path) -> None:
    onnx.save(_convolutions(), tmp_path / "films.onnx")
    tiny.publish(open_store(store), "films", prepare(tmp_path / "films.onnx", tmp_path / "prepared"))
    pixels = np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)
    rows = pa.table({f"pixels_{place}": pixels[:, place] for place in range(64)})
    pq.write_table(rows, tmp_path / "rows.parquet")
    output = tmp_path / "scored.parquet"
    command = ["--store", store, "score", str(tmp_path / "rows.parquet"), "--model", "films", "--output", str(output)]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    answered = onnxlet.Scorer(store, "films")(rows)
    assert answered["mean"].to_pylist() == pq.read_table(output)["mean"].to_pylist()


def _convolutions() -> onnx.ModelProto:
    """Rows of 64 pixels through two convolutions to a mean, whose last bits show in which order it was added up."""
    draw = np.random.default_rng(1).normal
    tensors = {
        "square": np.array([-1, 1, 8, 8]),
        "first": draw(size=(64, 1, 3, 3)).astype(np.float32),
        "second": draw(size=(64, 64, 3, 3)).astype(np.float32),
        "axes": np.array([1, 2, 3]),
    }
    nodes = [
        helper.make_node("Reshape", ["pixels", "square"], ["film"]),
        helper.make_node("Conv", ["film", "first"], ["once"], kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Conv", ["once", "second"], ["twice"], kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("ReduceMean", ["twice", "axes"], ["mean"], keepdims=0),
    ]
    values = [
        helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 64]),
        helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["rows"]),
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "films", values[:1], values[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
