"""The ladder's rungs on small nets: what each makes, what the contract refuses, what a search finds."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

import nets
from onnxlet.errors import InvalidInputError, UnavailableError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.directory import explain_full_disk
from onnxlet.values.contract import Bounds
from onnxlet.values.manifest import Draft
from onnxlet.values.optimization import Optimization, Rung

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain


def done(draft: Draft) -> Optimization:
    """What was done, which there must be."""
    assert draft.optimization is not None
    return draft.optimization


def rungs(draft: Draft) -> dict[str, Rung]:
    """The rungs by name."""
    return {rung.name: rung for rung in done(draft).rungs}


def operators(directory: Path) -> set[str]:
    """The types of the operators in a converted directory's graph."""
    return {node.op_type for node in onnx.load(directory / "model.onnx").graph.node}


def test_every_rung_is_tried_and_the_smallest_that_holds_is_taken(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())
    said: list[str] = []

    draft = optimize(directory, data=data, objective="size", on_progress=said.append)

    tried = rungs(draft)
    assert list(tried) == [
        "float, optimized offline",
        "dynamic int8, 7-bit signed weights per channel",
        "dynamic int8, 8-bit weights per channel",
        "dynamic int8, 8-bit weights per tensor",
        "static int8, min-max ranges",
        "static int8, percentile ranges",
        "static int8, entropy ranges",
        "static int8, min-max ranges, unsigned weights",
        "weight-only int8",
        "weight-only int4",
        "float16 weights",
    ]
    assert [f"trying {name}" for name in tried][1:] == said
    assert [rung.outcome for rung in tried.values()].count("chosen") == 1
    for rung in tried.values():
        assert rung.bytes, rung
        assert rung.latency, rung
        assert rung.latency_32, rung
        assert rung.distance is not None
        assert 0.9 < rung.metrics["cosine"] <= 1 + 1e-9
        assert rung.reason
    assert tried["weight-only int4"].bytes == min(rung.bytes for rung in tried.values() if rung.bytes)
    halves = tried["float16 weights"]
    assert halves.bytes is not None
    assert halves.distance is not None
    assert halves.bytes < done(draft).bytes_before * 0.55
    assert halves.distance < 1e-5
    assert done(draft).bytes_after < done(draft).bytes_before / 3


def test_the_fastest_can_be_asked_for(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())

    draft = optimize(directory, data=data, method="dynamic-int8", objective="latency")

    assert done(draft).objective == "latency"
    for rung in done(draft).rungs:
        if rung.outcome == "refused":
            assert "it is not faster" in rung.reason


@pytest.mark.long
def test_weights_do_not_overflow_sixteen_bits_on_any_processor(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())

    for method in ("dynamic-int8", "static-int8"):
        optimize(directory, tmp_path / method, data=data, method=method)

        weights = onnx.load(tmp_path / method / "model.onnx").graph.initializer
        signed = [numpy_helper.to_array(weight) for weight in weights if weight.data_type == TensorProto.INT8]
        assert all(np.abs(weight.astype(int)).max() <= 64 for weight in signed if weight.ndim > 1)


def test_integers_for_arm_are_unsigned_and_latencies_of_this_machine_do_not_count(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())

    draft = optimize(directory, data=data, method="dynamic-int8", cpu="arm64")

    assert done(draft).cpu == "arm64"
    assert not [name for name in rungs(draft) if "signed" in name]
    assert {rung.outcome for rung in done(draft).rungs} <= {"chosen", "passed"}


def test_a_bias_that_is_a_row_is_quantized_as_any_other(tmp_path: Path) -> None:
    model = nets.dense()
    bias = next(weight for weight in model.graph.initializer if weight.name == "b2")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias)[None], "b2"))
    directory, data = nets.converted(tmp_path, model, x=nets.rows())

    draft = optimize(directory, data=data, method="static-int8", objective="size")

    assert done(draft).method == "static-int8", done(draft).reason
    assert not [rung.reason for rung in done(draft).rungs if "cannot be quantized" in rung.reason]


@pytest.mark.long
def test_convolutions_are_quantized_with_calibrated_ranges(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.convolution(), x=nets.rows(64, 3, 12, 12))

    draft = optimize(directory, data=data, method="static-int8", objective="size")

    assert done(draft).method == "static-int8", done(draft).reason
    calibration = done(draft).calibration
    assert calibration is not None
    assert calibration.rows == 32  # half of them, as the others judge
    assert calibration.digest.startswith("sha256:")
    assert done(draft).bytes_after < done(draft).bytes_before / 3
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(directory)


def test_a_table_of_embeddings_is_quantized_row_by_row(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 4096, (48, 6))
    directory, data = nets.converted(tmp_path, nets.attention(), ids=ids)

    draft = optimize(directory, data=data, objective="size")

    assert done(draft).bytes_after < done(draft).bytes_before / 3.5, done(draft).reason
    best = next(rung for rung in done(draft).rungs if rung.outcome == "chosen")
    assert best.metrics["cosine"] > 0.99
    table = next(
        weight for weight in onnx.load(directory / "model.onnx").graph.initializer if weight.name == "table_rows_int8"
    )
    assert table.data_type == TensorProto.INT8


def test_recurrent_nets_are_quantized_dynamically(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.lstm(), x=nets.rows(40, 5, 64))

    draft = optimize(directory, data=data, method="dynamic-int8", objective="size")

    assert "DynamicQuantizeLSTM" in operators(directory), done(draft).reason


def test_a_fragile_net_breaks_the_contract_and_stays_float(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.fragile(), x=nets.rows())

    draft = optimize(directory, data=data, method="dynamic-int8")

    assert done(draft).method == "none"
    tried = rungs(draft)
    assert [name for name in tried if name.endswith("the first and the last product in float")]
    assert {rung.outcome for rung in tried.values()} == {"chosen", "refused"}
    assert all("distance" in rung.reason for rung in tried.values() if rung.outcome == "refused")
    assert "distance" in done(draft).reason


def test_a_search_finds_the_node_that_must_stay_float(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.fragile(), x=nets.rows())
    said: list[str] = []

    draft = optimize(
        directory, data=data, method="dynamic-int8", objective="size", search=True, on_progress=said.append
    )

    assert done(draft).method == "dynamic-int8", done(draft).reason
    assert done(draft).kept == ("fragile",)
    assert any("measuring node 2 of 4, 'fragile'" in each for each in said)
    assert done(draft).bytes_after < done(draft).bytes_before


def test_calibration_needs_rows(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows(12))

    draft = optimize(directory, data=data, method="static-int8")

    (skipped,) = (rung for rung in done(draft).rungs if rung.outcome == "skipped")
    assert skipped.reason == "calibration needs at least 32 rows, 6 of the data's do not judge"
    assert skipped.bytes is None
    assert done(draft).method == "none"


def test_rows_with_nan_are_no_calibration(tmp_path: Path) -> None:
    spoiled = nets.rows(40)
    spoiled[:10, 3] = np.nan
    directory, data = nets.converted(tmp_path, nets.dense(), x=spoiled[::-1].copy())

    draft = optimize(directory, data=data, method="static-int8")

    (skipped,) = (rung for rung in done(draft).rungs if rung.outcome == "skipped")
    assert skipped.reason == "calibration needs at least 32 rows without NaN, 16 of the data's do not judge"


def test_without_data_nothing_is_calibrated_and_no_metric_recorded(tmp_path: Path) -> None:
    directory, _ = nets.converted(tmp_path, nets.dense(), x=nets.rows())

    draft = optimize(directory, method="static-int8")

    (skipped,) = (rung for rung in done(draft).rungs if rung.outcome == "skipped")
    assert "needs --data" in skipped.reason


def test_publishing_keeps_float16_weights_as_they_are(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())
    small = done(optimize(directory, data=data, method="fp16-weights", objective="size")).bytes_after

    draft, files = prepare(directory, tmp_path / "prepared")

    assert files["model.onnx"].stat().st_size < small * 1.1
    assert not draft.offline_optimized
    engine = load_engine(files["model.onnx"], threads=1, optimized=False, run_deadline=10)
    assert engine.run({"x": nets.rows(2)})["y"].shape == (2, 32)


def test_no_rung_is_taken_that_breaks_the_bounds_of_ones_own(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())

    draft = optimize(directory, data=data, method="weight-only", objective="size", bounds=Bounds(distance=1e-7))

    assert done(draft).method == "none"
    # those that choose leave a margin for those that judge
    assert "at most 7e-08" in done(draft).reason


@pytest.mark.long
def test_every_method_makes_what_can_be_published(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())

    for method in ("dynamic-int8", "static-int8", "weight-only"):
        draft = optimize(directory, tmp_path / method, data=data, method=method, objective="size")
        assert done(draft).method == method, done(draft).reason
        published, files = prepare(tmp_path / method, tmp_path / f"{method}-prepared")
        assert published.optimization == draft.optimization
        assert files["model.onnx"].stat().st_size < done(draft).bytes_before / 2


def test_ctrl_c_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    listed = sorted(tmp_path.iterdir())

    def interrupt(said: str) -> None:
        if "per tensor" in said:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimize(directory, data=data, on_progress=interrupt)

    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before
    assert sorted(tmp_path.iterdir()) == listed


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="is full, nothing was written"), explain_full_disk(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(UnavailableError, match=r"cannot write .*; nothing was written"), explain_full_disk(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_assets_go_along(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())
    text = (directory / "draft.json").read_text()
    (directory / "draft.json").write_text(text.replace('"assets":[]', '"assets":["words.txt"]'))
    (directory / "words.txt").write_text("one two")

    optimize(directory, tmp_path / "small", data=data, method="fp16-weights")

    assert (tmp_path / "small/words.txt").read_text() == "one two"


def test_an_unknown_method_is_named(tmp_path: Path) -> None:
    directory, data = nets.converted(tmp_path, nets.dense(), x=nets.rows())

    with pytest.raises(InvalidInputError, match="no method 'int2'"):
        optimize(directory, data=data, method="int2")
