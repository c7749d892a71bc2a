"""Preparing models for publishing: what is refused and why, and what a version gets."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import tiny
from onnxlet.errors import DeadlineExceededError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import architecture, check, decode_cases
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.directory import write_draft
from onnxlet.values.digests import digest
from onnxlet.values.manifest import Draft
from onnxlet.values.signature import Signature, TensorSpec

pytestmark = pytest.mark.slow


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    return tiny.save(model, folder)["model.onnx"]


def converted(model: onnx.ModelProto, folder: Path, draft: Draft | None = None) -> Path:
    """A converted directory, with golden cases of one row of zeros and one of ones."""
    made, files = tiny.package(model, folder, golden=[{"input": np.ones((1, 3), dtype=np.float32)}])
    write_draft(folder, draft or made, decode_cases(files["golden.json"].read_bytes()))
    return folder


def test_a_bare_graph_gets_a_signature_a_digest_and_random_golden_cases(tmp_path: Path) -> None:
    path = saved(tiny.classifier(), tmp_path / "source")

    draft, files = prepare(path, tmp_path / "work")

    assert draft.signature == draft.graph
    assert draft.graph.inputs == (TensorSpec("input", "FP32", (-1, 3)),)
    assert draft.provenance.source_digest == digest(path.read_bytes())
    assert draft.provenance.opset == {"ai.onnx": 21}
    assert draft.offline_optimized
    assert draft.golden is not None
    assert draft.golden.source == "random"
    assert set(files) == {"model.onnx", "golden.json"}
    engine = load_engine(files["model.onnx"], threads=1, optimized=True, run_deadline=10)
    assert engine.signature == draft.graph
    cases = decode_cases(files["golden.json"].read_bytes())
    assert len(cases) == draft.golden.cases
    check(engine, cases, draft.golden.tolerance)


def test_golden_answers_must_be_nearer_here_than_on_the_other_architecture(tmp_path: Path) -> None:
    draft, _ = prepare(saved(tiny.classifier(), tmp_path / "source"), tmp_path / "work")

    assert draft.golden is not None
    declared, tolerances = draft.golden.tolerance, draft.golden.tolerances
    here = tolerances.pop(architecture())
    (other,) = [tolerance for name, tolerance in tolerances.items() if name in {"x86-64", "arm64"}][:1]
    assert here.absolute < declared.absolute < other.absolute
    assert here.relative < declared.relative < other.relative


def test_integers_are_given_the_declared_tolerance_for_they_saturate_otherwise_elsewhere(tmp_path: Path) -> None:
    model = tiny.identity(shape=("N", 3))
    model.graph.ClearField("node")
    scale = numpy_helper.from_array(np.array(0.1, dtype=np.float32), "scale")
    zero = numpy_helper.from_array(np.array(0, dtype=np.int8), "zero")
    model.graph.initializer.extend([scale, zero])
    model.graph.node.extend(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ]
    )

    draft, _ = prepare(saved(model, tmp_path / "source"), tmp_path / "work")

    assert draft.golden is not None
    assert draft.golden.tolerances[architecture()] == draft.golden.tolerance


@pytest.mark.parametrize(
    "model", [tiny.text_classifier(), tiny.integers(), tiny.embedder(), tiny.two_inputs(), tiny.clip()]
)
def test_graphs_of_texts_integers_and_several_inputs_are_tried_with_inputs_of_their_own(
    tmp_path: Path, model: onnx.ModelProto
) -> None:
    draft, _ = prepare(saved(model, tmp_path / "source"), tmp_path / "work")

    assert draft.golden is not None
    assert draft.golden.cases > 0


def test_progress_says_what_goes_on(tmp_path: Path) -> None:
    said: list[str] = []

    prepare(saved(tiny.regressor(), tmp_path / "source"), tmp_path / "work", on_progress=said.append)

    assert said == ["checking model.onnx", "optimizing the graph and trying it out"]


def test_the_graph_is_optimized_offline_without_ties_to_this_machine(tmp_path: Path) -> None:
    path = saved(foldable(), tmp_path / "source")

    _, files = prepare(path, tmp_path / "work")

    optimized = onnx.load(files["model.onnx"])
    assert [node.op_type for node in optimized.graph.node] == ["Add"]
    assert {node.domain for node in optimized.graph.node} <= {"", "ai.onnx", "com.microsoft"}


def test_weights_of_32_mb_and_more_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    path = saved(tiny.big(32), tmp_path / "source")

    draft, files = prepare(path, tmp_path / "work")

    assert files["model.onnx.data"].stat().st_size >= 32 * 2**20
    assert files["model.onnx"].stat().st_size < 2**16
    engine = load_engine(files["model.onnx"], threads=1, optimized=True, run_deadline=10)
    assert draft.golden is not None
    check(engine, decode_cases(files["golden.json"].read_bytes()), draft.golden.tolerance)


def test_small_weights_that_lay_apart_come_back_into_the_graph(tmp_path: Path) -> None:
    path = tiny.save(tiny.classifier(), tmp_path / "source", external=True)["model.onnx"]

    _, files = prepare(path, tmp_path / "work")

    assert set(files) == {"model.onnx", "golden.json"}


def test_a_wrongly_declared_batch_axis_is_corrected(tmp_path: Path) -> None:
    model = tiny.regressor()
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1

    draft, files = prepare(saved(model, tmp_path / "source"), tmp_path / "work")

    assert draft.signature.outputs == (TensorSpec("prediction", "FP32", (-1,)),)
    engine = load_engine(files["model.onnx"], threads=1, optimized=True, run_deadline=10)
    assert engine.signature == draft.graph


def test_an_undeclared_output_shape_is_observed(tmp_path: Path) -> None:
    model = tiny.classifier()
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")

    draft, _ = prepare(saved(model, tmp_path / "source"), tmp_path / "work")

    assert [spec.shape for spec in draft.signature.outputs] == [(-1,), (-1, 2)]


def test_a_fixed_batch_stays_fixed(tmp_path: Path) -> None:
    draft, _ = prepare(saved(tiny.identity(shape=(1, 4)), tmp_path / "source"), tmp_path / "work")

    assert draft.signature.inputs[0].shape == (1, 4)
    assert draft.signature.outputs[0].shape == (1, 4)


def test_a_graph_that_answers_otherwise_each_time_has_no_golden_cases(tmp_path: Path) -> None:
    model = tiny.identity()
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("RandomNormalLike", ["x"], ["y"]))

    draft, files = prepare(saved(model, tmp_path / "source"), tmp_path / "work")

    assert draft.golden is None
    assert set(files) == {"model.onnx"}


def test_a_converted_directory_keeps_its_draft_and_its_golden_inputs(tmp_path: Path) -> None:
    folder = converted(tiny.classifier(), tmp_path / "converted")
    (folder / "patients.csv").write_text("age\n42\n")

    draft, files = prepare(folder, tmp_path / "work")

    assert draft.provenance.framework == "tests"
    assert set(files) == {"model.onnx", "golden.json"}
    (case,) = decode_cases(files["golden.json"].read_bytes())
    np.testing.assert_array_equal(case.inputs["input"], np.ones((1, 3), dtype=np.float32))


def test_a_graph_that_disagrees_with_its_draft_is_refused(tmp_path: Path) -> None:
    folder = converted(tiny.classifier(), tmp_path / "converted")
    tiny.save(tiny.regressor(features=3), folder)
    (folder / "golden.json").unlink()
    draft = msgspec.json.decode((folder / "draft.json").read_bytes(), type=Draft)
    write_draft(folder, msgspec.structs.replace(draft, golden=None), ())

    with pytest.raises(RejectedModelError, match=r"its draft says .*label: INT64"):
        prepare(folder, tmp_path / "work")


def test_a_draft_with_another_shape_is_refused(tmp_path: Path) -> None:
    folder = converted(tiny.classifier(), tmp_path / "converted")
    draft = msgspec.json.decode((folder / "draft.json").read_bytes(), type=Draft)
    wide = Signature(inputs=(TensorSpec("input", "FP32", (-1, 4)),), outputs=draft.graph.outputs)
    (folder / "draft.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(draft, graph=wide)))

    with pytest.raises(RejectedModelError, match="its draft says"):
        prepare(folder, tmp_path / "work")


def test_a_graph_that_misses_its_golden_answers_is_refused(tmp_path: Path) -> None:
    folder = converted(tiny.classifier(), tmp_path / "converted")
    tiny.save(tiny.classifier(bias=0.3), folder)

    with pytest.raises(RejectedModelError, match="does not give its golden answers"):
        prepare(folder, tmp_path / "work")


def test_what_is_no_converted_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no converted model"):
        prepare(tmp_path, tmp_path / "work")
    with pytest.raises(InvalidInputError, match="there is no file or directory"):
        prepare(tmp_path / "nowhere.onnx", tmp_path / "work")


@pytest.mark.parametrize("contents", [b"", b"not a model at all", b"\x08\x0a\x12\x04"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(contents)

    with pytest.raises(RejectedModelError):
        prepare(path, tmp_path / "work")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(tiny.classifier(), tmp_path / "source")
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(RejectedModelError):
        prepare(path, tmp_path / "work")


def test_a_foreign_domain_is_named(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError, match=r"com\.example\.evil"):
        prepare(saved(tiny.foreign(), tmp_path / "source"), tmp_path / "work")


def test_a_foreign_domain_within_a_subgraph_is_named(tmp_path: Path) -> None:
    model = tiny.endless()
    model.graph.node[-1].attribute[0].g.node[0].domain = "com.example.hidden"

    with pytest.raises(RejectedModelError, match=r"com\.example\.hidden"):
        prepare(saved(model, tmp_path / "source"), tmp_path / "work")


def test_a_local_function_of_a_foreign_domain_is_named_with_the_way_out(tmp_path: Path) -> None:
    model = tiny.identity()
    model.graph.node[0].domain, model.graph.node[0].op_type = "pkg.local", "Same"
    model.opset_import.append(helper.make_opsetid("pkg.local", 1))
    model.functions.append(
        helper.make_function(
            "pkg.local",
            "Same",
            ["a"],
            ["b"],
            [helper.make_node("Identity", ["a"], ["b"])],
            [helper.make_opsetid("", tiny.OPSET)],
        )
    )

    with pytest.raises(RejectedModelError, match=r"'pkg\.local'.*inline_local_functions"):
        prepare(saved(model, tmp_path / "source"), tmp_path / "work")


def test_a_sequence_of_maps_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError, match="output 'maps' is a sequence"):
        prepare(saved(tiny.maps(), tmp_path / "source"), tmp_path / "work")


def test_an_element_type_that_no_protocol_carries_is_named(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError, match="COMPLEX64"):
        prepare(saved(tiny.identity(TensorProto.COMPLEX64), tmp_path / "source"), tmp_path / "work")


@pytest.mark.parametrize(
    "location", ["../secret.bin", "/etc/hostname", "weights/../../secret.bin", "", "..\\secret.bin"]
)
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))

    with pytest.raises(RejectedModelError, match="own folder"):
        prepare(saved(tiny.escaping(location), tmp_path / "source"), tmp_path / "work")


def test_weights_behind_a_symbolic_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    path = saved(tiny.escaping("weights.bin"), tmp_path / "source")
    (path.parent / "weights.bin").symlink_to(tmp_path / "secret.bin")

    with pytest.raises(RejectedModelError, match="symbolic link"):
        prepare(path, tmp_path / "work")


def test_missing_and_short_weights_are_refused(tmp_path: Path) -> None:
    path = saved(tiny.escaping("weights.bin"), tmp_path / "source")
    with pytest.raises(RejectedModelError, match="are not there"):
        prepare(path, tmp_path / "work")

    (path.parent / "weights.bin").write_bytes(bytes(8))
    with pytest.raises(RejectedModelError, match="shorter than the graph says"):
        prepare(path, tmp_path / "work")


def test_a_file_over_two_gigabytes_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**31)

    with pytest.raises(RejectedModelError, match="save_as_external_data"):
        prepare(path, tmp_path / "work")


def test_an_endless_loop_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceededError, match=r"ran longer than 0\.5 s"):
        prepare(saved(tiny.endless(), tmp_path / "source"), tmp_path / "work", run_deadline=0.5)


def test_a_graph_that_never_finishes_loading_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceededError, match=r"not done after 1\.5 s"):
        prepare(saved(endless_when_folded(), tmp_path / "source"), tmp_path / "work", trial_deadline=1.5)


def test_a_graph_that_wants_all_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError, match="more memory than it may have"):
        prepare(saved(greedy(), tmp_path / "source"), tmp_path / "work")


def foldable() -> onnx.ModelProto:
    """`x` FP32 [N] -> y FP32 [N]: a constant that takes three nodes to compute, added."""
    model = tiny.identity()
    del model.graph.node[:]
    model.graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT, [1], [0.5]))
    model.graph.node.extend(
        [
            helper.make_node("Exp", ["half"], ["a"]),
            helper.make_node("Mul", ["a", "half"], ["b"]),
            helper.make_node("Add", ["x", "b"], ["y"]),
        ]
    )
    return model


def endless_when_folded() -> onnx.ModelProto:
    """`x` FP32 [N] -> y FP32 [N]: adds what an endless loop over constants gives, which optimizers compute."""
    model = tiny.endless()
    model.graph.initializer.append(helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]))
    for node in model.graph.node:
        node.input[:] = ["one" if name == "x" else name for name in node.input]
    model.graph.node[-1].output[0] = "looped"
    model.graph.node.append(helper.make_node("Add", ["x", "looped"], ["y"]))
    return model


def greedy() -> onnx.ModelProto:
    """`x` FP32 [N] -> y FP32 [N]: makes a tensor of 4 TB on the way."""
    model = tiny.identity()
    del model.graph.node[:]
    model.graph.initializer.append(helper.make_tensor("size", TensorProto.INT64, [1], [10**12]))
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ]
    )
    return model
