"""Quantizing where it pays, and saying why where it does not."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import trained
from models import tiny
from onnxlet.convert.directory import read_draft, write_draft
from onnxlet.engine import load_engine
from onnxlet.errors import InvalidInputError
from onnxlet.golden import check, decode_cases
from onnxlet.manifest import Tolerance
from onnxlet.optimize import optimize
from onnxlet.optimize.contract import Quality
from onnxlet.optimize.dynamic_int8 import named_nodes, quantize, weighted_products
from onnxlet.optimize.latency import Latency, latency_of
from onnxlet.verify import Comparison

pytest.importorskip("sklearn")  # its metrics
pytestmark = pytest.mark.toolchain


@cache
def perceptron() -> Any:  # noqa: ANN401
    """A scaler and a perceptron large enough to be worth quantizing, with its data."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, target = trained.blobs(rows=160, classes=2)
    network = MLPClassifier((128, 128), max_iter=60, random_state=0)
    return trained.fitted(make_pipeline(StandardScaler(), network), features, target), features, target


def converted(folder: Path, estimator: Any, features: Any, target: Any) -> tuple[Path, Path]:  # noqa: ANN401
    """The estimator converted, and its data."""
    from onnxlet.convert import convert

    data = trained.csv_of(folder / "data.csv", features, target)
    convert(trained.saved(estimator, folder), folder / "out", data=data, target="target", trust=True)
    return folder / "out", data


def gemm() -> onnx.ModelProto:
    """`input` FP32 [N, 64] -> prediction FP32 [N, 8], through two Gemm nodes without names, one transposed."""
    random = np.random.default_rng(0)
    weights: dict[str, npt.NDArray[np.float32]] = {
        "w1": (random.normal(size=(256, 64)) / 8).astype(np.float32),
        "b1": random.normal(size=256).astype(np.float32),
        "w2": (random.normal(size=(256, 8)) / 16).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["input", "w1", "b1"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w2"], ["prediction"]),
        ],
        "gemm",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", tiny.OPSET)], ir_version=tiny.IR)


def converted_gemm(folder: Path) -> Path:
    """A converted directory with the Gemm graph, which no framework here makes."""
    rows = np.random.default_rng(1).normal(size=(4, 1, 64)).astype(np.float32)
    draft, files = tiny.package(gemm(), folder, golden=[{"input": row} for row in rows])
    write_draft(folder, draft, decode_cases(files["golden.json"].read_bytes()))
    return folder


def test_a_perceptron_gets_smaller_and_stays_as_good(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    before = (directory / "model.onnx").stat().st_size
    said: list[str] = []

    draft = optimize(directory, data=data, target="target", on_progress=said.append)

    done = draft.optimization
    assert done is not None
    assert done.method == "dynamic-int8", done.reason
    assert done.bytes_before == before
    assert done.bytes_after == (directory / "model.onnx").stat().st_size < before / 2
    assert "smaller" in done.reason
    assert said[0] == "quantizing all matrix products"
    stages = {evaluation.stage: evaluation for evaluation in draft.evaluations}
    assert list(stages) == ["source", "onnx", "optimized"]
    optimized = stages["optimized"].metrics
    assert optimized["accuracy"] >= stages["onnx"].metrics["accuracy"] - 0.01
    assert optimized["label_agreement"] >= 0.99
    assert 0 < optimized["largest_distance_alone"] < 0.05


def test_the_golden_answers_are_the_quantized_graphs(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    inputs = [case.inputs["features"].tolist() for case in read_draft(directory)[1]]

    draft = optimize(directory, tmp_path / "smaller", data=data)

    read, cases = read_draft(tmp_path / "smaller")
    assert read == draft
    assert draft.golden is not None
    assert [case.inputs["features"].tolist() for case in cases] == inputs[: len(cases)]
    assert draft.golden.tolerance.absolute > Tolerance().absolute
    engine = load_engine(tmp_path / "smaller/model.onnx", threads=1, optimized=False, run_deadline=10)
    check(engine, cases, draft.golden.tolerance)


def test_the_original_stays_where_another_place_is_named(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    before = {file.name: file.read_bytes() for file in directory.iterdir()}

    optimize(directory, tmp_path / "smaller", data=data)

    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before
    assert {file.name for file in (tmp_path / "smaller").iterdir()} == {"model.onnx", "draft.json", "golden.json"}
    assert {file.name for file in tmp_path.iterdir()} == {"model.joblib", "data.csv", "out", "smaller"}


def test_weights_are_unsigned_so_that_every_cpu_computes_the_same(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())

    optimize(directory, data=data)

    graph = onnx.load(directory / "model.onnx").graph
    assert "MatMulInteger" in {node.op_type for node in graph.node}
    kinds = {weight.data_type for weight in graph.initializer if weight.name.endswith("_quantized")}
    assert kinds == {TensorProto.UINT8}


def test_gemm_is_quantized_as_well(tmp_path: Path) -> None:
    directory = converted_gemm(tmp_path / "model")

    draft = optimize(directory)

    assert draft.optimization is not None
    assert "4 golden rows" in draft.optimization.reason
    graph = onnx.load(directory / "model.onnx").graph
    assert "Gemm" not in {node.op_type for node in graph.node}


def test_trees_stay_as_they_are_and_say_why(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    features, target = trained.blobs()
    forest = trained.fitted(RandomForestClassifier(5, random_state=0), features, target)
    directory, data = converted(tmp_path, forest, features, target)
    before = (directory / "model.onnx").read_bytes()

    draft = optimize(directory, data=data, target="target")

    assert draft.optimization is not None
    assert draft.optimization.method == "none"
    assert "no matrix product" in draft.optimization.reason
    assert draft.optimization.bytes_before == draft.optimization.bytes_after == len(before)
    assert (directory / "model.onnx").read_bytes() == before
    assert [evaluation.stage for evaluation in draft.evaluations] == ["source", "onnx"]


def test_a_graph_that_would_hardly_get_smaller_stays_as_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    draft, files = tiny.package(tiny.classifier(), directory, golden=[{"input": np.ones((1, 3), dtype=np.float32)}])
    write_draft(directory, draft, decode_cases(files["golden.json"].read_bytes()))

    done = optimize(directory).optimization

    assert done is not None
    assert done.method == "none"
    assert "of its bytes" in done.reason


def test_without_rows_nothing_is_quantized(tmp_path: Path) -> None:
    draft, _ = tiny.package(gemm(), tmp_path / "model")
    write_draft(tmp_path / "model", draft, ())

    done = optimize(tmp_path / "model").optimization

    assert done is not None
    assert done.method == "none"
    assert "give --data" in done.reason


def test_optimizing_twice_is_refused_where_the_first_did_something(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    optimize(directory, data=data)

    with pytest.raises(InvalidInputError, match=r"optimized already \(dynamic-int8\)"):
        optimize(directory, data=data)


def test_what_is_no_converted_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no converted model"):
        optimize(tmp_path)


def test_data_that_do_not_fit_are_named(tmp_path: Path) -> None:
    directory, _ = converted(tmp_path, *perceptron())
    other = trained.write_csv(tmp_path / "other.csv", ["feature 0"], [[1.0]])

    with pytest.raises(InvalidInputError, match="no column 'feature 1'"):
        optimize(directory, data=other)
    with pytest.raises(InvalidInputError, match="needs --data"):
        optimize(directory, target="target")
    with pytest.raises(InvalidInputError, match="no named columns"):
        optimize(converted_gemm(tmp_path / "gemm"), data=other)


def test_the_quantizer_neither_talks_nor_sets_up_logging(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = converted_gemm(tmp_path / "model")
    handlers = list(logging.getLogger().handlers)

    with caplog.at_level(logging.DEBUG):
        optimize(directory)

    assert logging.getLogger().handlers == handlers
    assert not [record for record in caplog.records if record.name == "root"]


def test_products_to_keep_are_kept(tmp_path: Path) -> None:
    path = tiny.save(gemm(), tmp_path)["model.onnx"]
    products = weighted_products(named_nodes(onnx.load(path)))
    assert len(products) == 2

    quantize(path, tmp_path / "all.onnx", keep=[])
    quantize(path, tmp_path / "some.onnx", keep=products[:1])

    sizes = [(tmp_path / name).stat().st_size for name in ("all.onnx", "some.onnx", "model.onnx")]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3


def test_the_latency_of_a_graph_beside_itself_is_the_same(tmp_path: Path) -> None:
    path = tiny.save(gemm(), tmp_path)["model.onnx"]
    one, other = (load_engine(path, threads=1, optimized=False, run_deadline=10) for _ in range(2))

    latency = latency_of(one, other, {"input": np.ones((1, 64), dtype=np.float32)})

    assert 0.5 < latency.after / latency.before < 2


def test_microseconds_do_not_make_a_graph_slower() -> None:
    assert not Latency(before=10e-6, after=20e-6).slower
    assert not Latency(before=10e-3, after=10.5e-3).slower
    assert Latency(before=10e-3, after=12e-3).slower
    assert str(Latency(before=10e-6, after=20e-6)) == "one row takes 20 instead of 10 us"


def quality(  # a contract that holds, but for what is said
    *,
    rows: int = 1000,
    distance: float = 0.0,
    agreement: float | None = 1.0,
    before: dict[str, float] | None = None,
    after: dict[str, float] | None = None,
) -> Quality:
    comparison = Comparison(rows, distance, 0.0, 0, agreement)
    return Quality(comparison, comparison, before or {}, after or {})


LABELLED = {"label": np.zeros(3)}


def test_the_contract_allows_one_row_or_half_a_per_cent_to_change_its_label() -> None:
    assert not quality(agreement=0.995).breach(LABELLED)
    assert "99.0% of 1000 labels" in quality(agreement=0.99).breach(LABELLED)
    assert not quality(rows=50, agreement=0.98).breach(LABELLED)
    assert quality(rows=50, agreement=0.96).breach(LABELLED)


def test_the_contract_watches_metrics_that_shall_rise_and_those_that_shall_fall() -> None:
    assert "auc" in quality(before={"auc": 0.9}, after={"auc": 0.89}).breach(LABELLED)
    assert not quality(before={"auc": 0.9}, after={"auc": 0.95}).breach(LABELLED)
    assert "rmse" in quality(before={"rmse": 1.0}, after={"rmse": 1.1}).breach({"prediction": np.arange(9.0)})
    assert not quality(before={"rmse": 1.0}, after={"rmse": 0.9}).breach({"prediction": np.arange(9.0)})
    assert not quality(rows=100, before={"accuracy": 0.95}, after={"accuracy": 0.94}).breach(LABELLED)


def test_the_contract_limits_distances_by_the_scale_of_the_answers() -> None:
    assert "move by up to" in quality(distance=0.06).breach(LABELLED)
    assert not quality(distance=0.04).breach(LABELLED)
    assert not quality(distance=0.06, agreement=None).breach({"prediction": np.arange(100.0)})
    assert quality(distance=5.0, agreement=None).breach({"prediction": np.arange(100.0)})
