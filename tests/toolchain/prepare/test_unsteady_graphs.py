"""Graphs without golden cases: they are said to be such, tried all the same, and optimized where their answers stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import tiny
from onnxlet.errors import RejectedModelError
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.directory import write_draft


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    return tiny.save(model, folder)["model.onnx"]


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def chain_of(*nodes: onnx.NodeProto, **weights: object) -> onnx.ModelProto:
    """`x` FP32 [N, 3, 4] -> y FP32 [N, 3, 4] through these nodes."""
    model = tiny.identity(shape=("N", 3, 4))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    arrays = {name: np.array(value, dtype=np.float32) for name, value in weights.items()}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    return model


FOLDABLE = (
    helper.make_node("Exp", ["half"], ["constant"]),
    helper.make_node("Mul", ["x", "constant"], ["scaled"]),
)
NORMALIZED = (
    helper.make_node("Conv", ["x", "kernel"], ["convolved"]),
    helper.make_node("BatchNormalization", ["convolved", "scale", "shift", "mean", "variance"], ["normalized"]),
    helper.make_node("Mul", ["normalized", "many"], ["angle"]),
)
"""What ONNX Runtime fuses into one convolution, which rounds otherwise; the last node makes much of that."""
WEIGHTS = {
    "kernel": np.random.default_rng(0).standard_normal((3, 3, 1)),
    **{name: np.random.default_rng(1).uniform(0.5, 2, 3) for name in ("scale", "shift", "mean", "variance")},
    "many": 1e9,
}


def test_a_bare_graph_that_runs_on_nothing_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(
        RejectedModelError, match=r"runs on none of the inputs.*Gather.*`onnxlet convert model\.onnx --data .*force it"
    ):
        prepare(saved(tiny.embedder(vocabulary=0), tmp_path / "source"), tmp_path / "work")


def test_forced_it_is_left_as_it_is_and_says_that_nothing_checks_it(tmp_path: Path) -> None:
    draft, files = prepare(saved(tiny.embedder(vocabulary=0), tmp_path / "source"), tmp_path / "work", force=True)

    assert draft.golden is None
    assert not draft.offline_optimized
    assert set(files) == {"model.onnx"}
    (note,) = draft.notes
    assert note.startswith(
        "it has no golden cases, so that nothing checks it where it is loaded: the model fails on random"
    )


def test_a_converted_graph_is_not_refused_for_it_ran_on_rows_when_it_was_converted(tmp_path: Path) -> None:
    draft, _ = tiny.package(tiny.embedder(vocabulary=0), tmp_path / "converted")
    write_draft(tmp_path / "converted", draft, ())

    prepared, _ = prepare(tmp_path / "converted", tmp_path / "work")

    assert prepared.golden is None
    assert "no golden cases" in prepared.notes[0]


def test_random_operators_leave_no_golden_cases_and_are_optimized_for_seeded_they_answer_alike(tmp_path: Path) -> None:
    model = chain_of(
        *FOLDABLE,
        helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        helper.make_node("Add", ["scaled", "noise"], ["y"]),
        half=0.5,
    )

    draft, files = prepare(saved(model, tmp_path / "source"), tmp_path / "work")

    assert draft.golden is None
    assert draft.offline_optimized
    assert set(files) == {"model.onnx"}
    assert sorted(operators(files["model.onnx"])) == ["Add", "Mul", "RandomNormalLike"]
    assert not [
        attribute
        for node in onnx.load(files["model.onnx"]).graph.node
        for attribute in node.attribute
        if attribute.name == "seed"
    ]
    assert "no golden cases" in draft.notes[0]


def test_answers_that_hang_on_rounding_leave_no_golden_cases_and_are_compared_on_this_machine(tmp_path: Path) -> None:
    model = chain_of(
        *FOLDABLE,
        helper.make_node("Mul", ["scaled", "many"], ["angle"]),
        helper.make_node("Sin", ["angle"], ["y"]),
        half=0.5,
        many=1e9,
    )

    draft, files = prepare(saved(model, tmp_path / "source"), tmp_path / "work")

    assert draft.golden is None
    assert draft.offline_optimized
    assert "Exp" not in operators(files["model.onnx"])
    assert "rounding errors" in draft.notes[0]


@pytest.mark.parametrize(
    "last",
    [
        [helper.make_node("Sin", ["angle"], ["y"])],
        [
            helper.make_node("Sin", ["angle"], ["wave"]),
            helper.make_node("RandomUniformLike", ["x"], ["noise"]),
            helper.make_node("Add", ["wave", "noise"], ["y"]),
        ],
    ],
    ids=["rounding", "chance"],
)
def test_what_answers_otherwise_once_it_is_optimized_is_left_as_it_is(
    tmp_path: Path, last: list[onnx.NodeProto]
) -> None:
    model = chain_of(*NORMALIZED, *last, **WEIGHTS)

    draft, files = prepare(saved(model, tmp_path / "source"), tmp_path / "work")

    assert draft.golden is None
    assert not draft.offline_optimized
    assert "BatchNormalization" in operators(files["model.onnx"])


def with_filled_input(ir_version: int) -> onnx.ModelProto:
    """`x` FP32 [N, 3, 4] -> y, times `scale` and `other`, which are inputs with values of their own."""
    model = chain_of(
        helper.make_node("Mul", ["scale", "other"], ["both"]),
        helper.make_node("Mul", ["x", "both"], ["y"]),
        scale=np.full(4, 2.0),
        other=np.full(4, 3.0),
    )
    model.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("scale", "other"))
    model.ir_version = ir_version
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 8))
    return model


@pytest.mark.parametrize("external", [False, True])
def test_inputs_with_values_in_the_file_are_constants_from_then_on_and_it_is_said(
    tmp_path: Path, *, external: bool
) -> None:
    path = tiny.save(with_filled_input(10), tmp_path / "source", external=external)["model.onnx"]

    draft, files = prepare(path, tmp_path / "work")

    assert [spec.name for spec in draft.signature.inputs] == ["x"]
    assert operators(files["model.onnx"]) == ["Mul"]
    assert [value.name for value in onnx.load(files["model.onnx"]).graph.input] == ["x"]
    (note,) = draft.notes
    assert note == (
        "nobody can give its optional inputs 'scale', 'other': they keep the values that the file holds, unless these "
        "are taken out of its initializers"
    )
    assert set(files) == {"model.onnx", "golden.json"}


def test_weights_that_had_to_be_inputs_in_old_files_are_no_optional_inputs(tmp_path: Path) -> None:
    draft, files = prepare(saved(with_filled_input(3), tmp_path / "source"), tmp_path / "work")

    assert draft.notes == ()
    assert draft.offline_optimized
    assert [spec.name for spec in draft.signature.inputs] == ["x"]
    assert [value.name for value in onnx.load(files["model.onnx"]).graph.input] == ["x"]
