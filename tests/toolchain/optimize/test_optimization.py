"""Quantizing where it pays, and saying why where it does not."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import nets
import trained
from models import tiny
from onnxlet.errors import InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import check, decode_cases
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.optimize.dynamic_int8 import WEIGHT_FORMATS, quantize
from onnxlet.toolchain.optimize.graph import simplify, survey
from onnxlet.toolchain.workbench.directory import read_draft, write_draft
from onnxlet.values.manifest import Tolerance

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
    from onnxlet.toolchain.convert import convert

    data = trained.csv_of(folder / "data.csv", features, target)
    convert(trained.saved(estimator, folder), folder / "out", data=data, target="target", trust=True)
    return folder / "out", data


def converted_gemm(folder: Path) -> Path:
    """A converted directory with the Gemm graph, which no framework here makes."""
    rows = np.random.default_rng(1).normal(size=(4, 1, 64)).astype(np.float32)
    draft, files = tiny.package(nets.gemm(), folder, golden=[{"input": row} for row in rows])
    write_draft(folder, draft, decode_cases(files["golden.json"].read_bytes()))
    return folder


def test_a_perceptron_gets_smaller_and_stays_as_good(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    before = (directory / "model.onnx").stat().st_size
    said: list[str] = []

    draft = optimize(directory, data=data, target="target", method="dynamic-int8", on_progress=said.append)

    done = draft.optimization
    assert done is not None
    assert done.method == "dynamic-int8", done.reason
    assert done.bytes_before == before
    assert done.bytes_after == (directory / "model.onnx").stat().st_size < before / 2
    assert "smaller" in done.reason
    assert said[0] == "trying dynamic int8, 7-bit signed weights per channel"
    assert all("accuracy" in rung.metrics for rung in done.rungs)
    stages = {evaluation.stage: evaluation for evaluation in draft.evaluations}
    assert list(stages) == ["source", "onnx", "optimized"]
    optimized = stages["optimized"].metrics
    assert optimized["accuracy"] >= stages["onnx"].metrics["accuracy"] - 0.01
    assert optimized["label_agreement"] >= 0.99
    assert 0 < optimized["largest_distance_alone"] < 0.05


def test_the_golden_answers_are_the_quantized_graphs(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    inputs = [case.inputs["features"].tolist() for case in read_draft(directory)[1]]

    draft = optimize(directory, tmp_path / "smaller", data=data, method="dynamic-int8")

    read, cases = read_draft(tmp_path / "smaller")
    assert read == draft
    assert draft.golden is not None
    assert cases
    assert all(case.inputs["features"].tolist() in inputs for case in cases)
    assert draft.golden.tolerance.absolute > Tolerance().absolute
    engine = load_engine(tmp_path / "smaller/model.onnx", threads=1, optimized=False, run_deadline=10)
    check(engine, cases, draft.golden.tolerance)


def test_the_original_stays_where_another_place_is_named(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    before = {file.name: file.read_bytes() for file in directory.iterdir()}

    optimize(directory, tmp_path / "smaller", data=data, method="dynamic-int8")

    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before
    assert {file.name for file in (tmp_path / "smaller").iterdir()} == {*before, "judging.npz"}
    assert {file.name for file in tmp_path.iterdir()} == {"model.joblib", "data.csv", "out", "smaller"}


def test_without_data_the_golden_rows_are_compared(tmp_path: Path) -> None:
    directory = converted_gemm(tmp_path / "model")

    done = optimize(directory, method="fp16-weights").optimization

    assert done is not None
    assert "4 golden rows, whose truth is not known" in done.reason


def test_trees_stay_as_they_are_and_say_why(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    features, target = trained.blobs()
    forest = trained.fitted(RandomForestClassifier(5, random_state=0), features, target)
    directory, data = converted(tmp_path, forest, features, target)
    before = (directory / "model.onnx").read_bytes()

    draft = optimize(directory, data=data, target="target")

    assert draft.optimization is not None
    assert draft.optimization.method == "none"
    assert "tree ensembles compare" in draft.optimization.reason
    assert draft.optimization.bytes_before == draft.optimization.bytes_after == len(before)
    assert (directory / "model.onnx").read_bytes() == before
    assert [evaluation.stage for evaluation in draft.evaluations] == ["source", "onnx"]


def test_linear_models_stay_exact(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    draft, files = tiny.package(tiny.classifier(), directory, golden=[{"input": np.ones((1, 3), dtype=np.float32)}])
    write_draft(directory, draft, decode_cases(files["golden.json"].read_bytes()))

    done = optimize(directory, method="dynamic-int8").optimization

    assert done is not None
    assert done.method == "none"
    assert "a linear model has one matrix product" in done.reason


def test_a_small_graph_stays_exact_unless_a_method_is_named(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    before = (directory / "model.onnx").read_bytes()

    draft = optimize(directory, data=data, target="target")

    assert draft.optimization is not None
    assert draft.optimization.method == "none"
    assert "stays exact; --method dynamic-int8 quantizes it all the same" in draft.optimization.reason
    assert draft.optimization.rungs == ()
    assert (directory / "model.onnx").read_bytes() == before
    assert optimize(directory, data=data, method="dynamic-int8").optimization.method == "dynamic-int8"  # type: ignore[union-attr]  # there is one


def test_a_handful_of_rows_proves_no_smaller_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, data = converted(tmp_path, *perceptron())
    few = tmp_path / "few.csv"
    few.write_text("".join(data.read_text().splitlines(keepends=True)[:4]))
    monkeypatch.setattr("onnxlet.toolchain.optimize.optimization.SMALL", 0)

    done = optimize(directory, data=few, target="target").optimization

    assert done is not None
    assert (done.method, done.rungs) == ("none", ())
    assert "3 rows prove too little, 32 are needed" in done.reason


def test_a_graph_that_would_hardly_get_smaller_stays_as_it_is(tmp_path: Path) -> None:
    features, target = trained.blobs(rows=60)
    from sklearn.neural_network import MLPClassifier

    network = trained.fitted(MLPClassifier((2,), max_iter=20, random_state=0), features, target)
    directory, data = converted(tmp_path, network, features, target)

    done = optimize(directory, data=data, method="dynamic-int8").optimization

    assert done is not None
    assert done.method == "none"
    assert "of its bytes" in done.reason


def test_without_golden_rows_answers_to_random_ones_are_compared(tmp_path: Path) -> None:
    draft, _ = tiny.package(nets.gemm(), tmp_path / "model")
    write_draft(tmp_path / "model", draft, ())

    done = optimize(tmp_path / "model", method="dynamic-int8").optimization

    assert done is not None
    assert "32 random rows, whose truth is not known" in done.reason


def test_one_class_only_is_no_obstacle(tmp_path: Path) -> None:
    estimator, features, target = perceptron()
    directory, _ = converted(tmp_path, estimator, features, target)
    data = trained.csv_of(tmp_path / "ones.csv", features[target == 1], target[target == 1])

    done = optimize(directory, data=data, target="target", method="dynamic-int8").optimization

    assert done is not None
    assert done.method == "dynamic-int8", done.reason
    assert all("auc" not in rung.metrics for rung in done.rungs)


def test_optimizing_twice_is_refused_where_the_first_did_something(tmp_path: Path) -> None:
    directory, data = converted(tmp_path, *perceptron())
    optimize(directory, data=data, method="dynamic-int8")

    with pytest.raises(InvalidInputError, match=r"optimized already \(dynamic-int8\)"):
        optimize(directory, data=data)


def test_what_is_no_converted_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no converted model"):
        optimize(tmp_path)


def test_data_that_do_not_fit_are_named(tmp_path: Path) -> None:
    directory, _ = converted(tmp_path, *perceptron())
    other = trained.write_csv(tmp_path / "other.csv", ["feature 0"], [[1.0]])

    with pytest.raises(InvalidInputError, match="lacks the columns 'feature 1'"):
        optimize(directory, data=other)
    with pytest.raises(InvalidInputError, match="needs --data"):
        optimize(directory, target="target")
    with pytest.raises(InvalidInputError, match="without named columns"):
        optimize(converted_gemm(tmp_path / "gemm"), data=other)


def test_the_quantizer_neither_talks_nor_sets_up_logging(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = converted_gemm(tmp_path / "model")
    handlers = list(logging.getLogger().handlers)

    with caplog.at_level(logging.DEBUG):
        optimize(directory, method="dynamic-int8")

    assert logging.getLogger().handlers == handlers
    assert not [record for record in caplog.records if record.name == "root"]


def test_products_to_keep_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "simple.onnx"
    surveyed = survey(simplify(tiny.save(nets.gemm(), tmp_path)["model.onnx"], path))
    assert len(surveyed.products) == 2

    for name, keep in (("all", []), ("some", surveyed.products[:1])):
        quantize(path, tmp_path / f"{name}.onnx", surveyed, WEIGHT_FORMATS["arm64"][0], keep=keep)

    sizes = [(tmp_path / name).stat().st_size for name in ("all.onnx", "some.onnx", "model.onnx")]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
    assert "Gemm" not in {node.op_type for node in onnx.load(tmp_path / "all.onnx").graph.node}
