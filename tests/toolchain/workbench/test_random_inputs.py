"""Random inputs: of the signature's datatypes and shapes, and such that the graph runs on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from models import tiny
from onnxlet.errors import RejectedModelError
from onnxlet.serving.engine import OnnxEngine, load_engine
from onnxlet.toolchain.workbench.random_inputs import draw_inputs, random_inputs


def engine_of(folder: Path, model: object) -> OnnxEngine:
    path = tiny.save(model, folder)["model.onnx"]  # type: ignore[arg-type]
    return load_engine(path, threads=1, optimized=False, run_deadline=10)


@pytest.mark.parametrize(
    "kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.UINT8, TensorProto.STRING]
)
def test_random_inputs_have_the_types_and_shapes_of_the_signature(tmp_path: Path, kind: int) -> None:
    engine = engine_of(tmp_path, tiny.identity(kind, ("N", 3, "M")))

    inputs = draw_inputs(engine.signature, rows=2, size=5, integers=10, seed=0)

    assert inputs["x"].shape == (2, 3, 5)
    assert engine.run(inputs)["y"].shape == (2, 3, 5)


def test_random_integers_fit_a_small_vocabulary(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, tiny.embedder(vocabulary=2))

    assert random_inputs(engine, seed=0)["ids"].max() == 0


def test_a_free_dimension_is_tried_in_several_sizes(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, embedding_of_pairs())

    assert random_inputs(engine, seed=0)["x"].shape == (1, 2)


def test_free_dimensions_are_tried_in_sizes_of_their_own(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, windows_with_a_state())

    for seed in range(4):
        inputs = random_inputs(engine, seed=seed)
        assert {name: tensor.shape for name, tensor in inputs.items()} == {"x": (1, 128), "state": (2, 1, 3)}


def test_integers_that_may_neither_be_0_nor_large_are_tried_as_1(tmp_path: Path) -> None:
    assert random_inputs(engine_of(tmp_path, expanding()), seed=0)["shape"].tolist() == [1, 1]


def test_rates_are_tried_between_0_and_1_and_scales_above(tmp_path: Path) -> None:
    for seed in range(4):
        assert 0 <= random_inputs(engine_of(tmp_path / "rate", dropping()), seed=seed)["rate"] < 1
        assert (random_inputs(engine_of(tmp_path / "scales", enlarging()), seed=seed)["scales"] >= 1).all()


def test_a_graph_that_fails_on_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError, match="own signature"):
        random_inputs(engine_of(tmp_path, tiny.embedder(vocabulary=0)), seed=0)


def windows_with_a_state() -> object:
    """`x` FP32 [N, T], state FP32 [2, M, 3] -> y FP32 [2, N, 3]: for windows of 128 alone, and a state for each."""
    model = tiny.identity(shape=("N", "T"))
    del model.graph.node[:], model.graph.output[:]
    model.graph.input.append(helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, "M", 3]))
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, "M", 3]))
    model.graph.initializer.append(helper.make_tensor("weights", TensorProto.FLOAT, [128, 3], [0.1] * 384))
    model.graph.node.extend(
        [
            helper.make_node("MatMul", ["x", "weights"], ["windows"]),
            helper.make_node("Concat", ["windows", "windows"], ["flat"], axis=0),
            helper.make_node("Shape", ["state"], ["shape"]),
            helper.make_node("Reshape", ["flat", "shape"], ["shaped"]),
            helper.make_node("Add", ["shaped", "state"], ["y"]),
        ]
    )
    return model


def expanding() -> object:
    """`x` FP32 [1, 3], shape INT64 [2] -> y FP32: as large as shape says."""
    model = tiny.identity(shape=(1, 3))
    del model.graph.node[:]
    model.graph.input.append(helper.make_tensor_value_info("shape", TensorProto.INT64, [2]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    model.graph.node.append(helper.make_node("Expand", ["x", "shape"], ["y"]))
    return model


def dropping() -> object:
    """`x` FP32 [1, 3], rate FP32 [] -> y FP32 [1, 3]: no rate below 0, or of 1 and above, is taken."""
    model = tiny.identity(shape=(1, 3))
    del model.graph.node[:]
    model.graph.input.append(helper.make_tensor_value_info("rate", TensorProto.FLOAT, []))
    model.graph.node.append(helper.make_node("Dropout", ["x", "rate"], ["y"]))
    return model


def enlarging() -> object:
    """`x` FP32 [1, 1, 2, 2], scales FP32 [4] -> y FP32: by scales of 1 and above alone."""
    model = tiny.identity(shape=(1, 1, 2, 2))
    del model.graph.node[:], model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 9))
    model.graph.input.append(helper.make_tensor_value_info("scales", TensorProto.FLOAT, [4]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    model.graph.node.append(helper.make_node("Upsample", ["x", "scales"], ["y"]))
    return model


def embedding_of_pairs() -> object:
    """`x` FP32 [N, M] -> y FP32 [N, 2], which only works for two columns."""
    model = tiny.identity(shape=("N", "M"))
    del model.graph.node[:]
    model.graph.initializer.append(helper.make_tensor("pair", TensorProto.FLOAT, [2, 2], [1.0, 0.0, 0.0, 1.0]))
    model.graph.node.append(helper.make_node("MatMul", ["x", "pair"], ["y"]))
    return model
