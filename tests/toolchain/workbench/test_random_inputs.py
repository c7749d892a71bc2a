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


def test_a_graph_that_fails_on_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RejectedModelError, match="own signature"):
        random_inputs(engine_of(tmp_path, tiny.embedder(vocabulary=0)), seed=0)


def embedding_of_pairs() -> object:
    """`x` FP32 [N, M] -> y FP32 [N, 2], which only works for two columns."""
    model = tiny.identity(shape=("N", "M"))
    del model.graph.node[:]
    model.graph.initializer.append(helper.make_tensor("pair", TensorProto.FLOAT, [2, 2], [1.0, 0.0, 0.0, 1.0]))
    model.graph.node.append(helper.make_node("MatMul", ["x", "pair"], ["y"]))
    return model
