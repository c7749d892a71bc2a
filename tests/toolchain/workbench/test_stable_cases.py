"""Stable cases: those that another machine answers alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from models import tiny
from onnxlet.serving.engine import OnnxEngine, load_engine
from onnxlet.steps import Classification, Column, Steps, Tabular
from onnxlet.toolchain.workbench.stable_cases import choose_stable_cases, find_clear_rows, measure_rounding
from onnxlet.values.manifest import Tolerance


def engine_of(folder: Path, model: object) -> OnnxEngine:
    path = tiny.save(model, folder)["model.onnx"]  # type: ignore[arg-type]
    return load_engine(path, threads=1, optimized=False, run_deadline=10)


def test_at_most_four_cases_are_kept(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, tiny.classifier())
    inputs = {"input": np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)}

    cases = choose_stable_cases(
        [engine], ({"input": inputs["input"][row : row + 1]} for row in range(20)), Tolerance(), Steps()
    )

    assert len(cases) == 4
    np.testing.assert_array_equal(cases[2].inputs["input"], inputs["input"][2:3])


def test_rows_on_the_very_edge_are_left_out(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, tiny.classifier())
    on_the_edge = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    clear = np.array([[1.0, 2.0, 2.5]], dtype=np.float32)

    cases = choose_stable_cases([engine], [{"input": on_the_edge}, {"input": clear}], Tolerance(), Steps())

    assert [case.inputs["input"].tolist() for case in cases] == [clear.tolist()]


def test_rows_whose_label_hangs_on_the_tolerance_are_not_clear() -> None:
    probabilities = np.array([[0.5, 0.5], [0.5005, 0.4995], [0.501, 0.499], [0.1, 0.9]], dtype=np.float32)
    clear = np.array([False, False, True, True])
    target = Classification("label", "probabilities", (), (0, 1))

    clear_rows = find_clear_rows(
        {"label": np.array([0, 0, 0, 1]), "probabilities": probabilities},
        Steps((target,)),
        Tolerance(absolute=1e-4, relative=1e-3),
    )

    np.testing.assert_array_equal(clear_rows, clear)


def test_a_row_must_be_clear_for_every_target() -> None:
    steps = Steps(tuple(Classification(f"label {name}", name, (), (0, 1), target=name) for name in ("a", "b")))
    sure, tied = [0.1, 0.9], [0.5, 0.5]
    outputs = {name: np.array([1, 1, 1]) for name in ("label a", "label b")}
    outputs |= {"a": np.array([sure, tied, sure]), "b": np.array([sure, sure, tied])}

    assert find_clear_rows(outputs, steps, Tolerance()).tolist() == [True, False, False]


def test_without_probabilities_all_rows_pass() -> None:
    outputs = {"label": np.array([0, 1])}

    assert find_clear_rows(outputs, Steps((Classification("label", None, (), (0, 1)),)), Tolerance()).all()


def test_answers_that_differ_between_engines_are_no_cases(tmp_path: Path) -> None:
    engine, other = (engine_of(tmp_path / name, scaled(factor)) for name, factor in (("a", 1.0), ("b", 1.001)))
    inputs = [{"x": np.ones((1, 2), dtype=np.float32)}]

    assert choose_stable_cases([engine, engine], inputs, Tolerance(), Steps())
    assert not choose_stable_cases([engine, other], inputs, Tolerance(), Steps())
    assert (
        measure_rounding([engine, other], choose_stable_cases([engine], inputs, Tolerance(), Steps()), Tolerance())
        > 0.5
    )


def test_rows_that_answer_otherwise_within_a_batch_are_no_cases(tmp_path: Path) -> None:
    model = tiny.identity(shape=("N", 2))
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("CumSum", ["x", "axis"], ["y"]))
    model.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [], [0]))
    engine = engine_of(tmp_path, model)
    inputs = [{"x": np.ones((1, 2), dtype=np.float32)}]
    tabular = Tabular((Column("a", "FP32"), Column("b", "FP32")), input="x")

    assert choose_stable_cases([engine], inputs, Tolerance(), Steps())
    assert not choose_stable_cases([engine], inputs, Tolerance(), Steps((tabular,)))


def test_a_graph_that_is_never_the_same_has_no_cases(tmp_path: Path) -> None:
    model = tiny.identity()
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("RandomNormalLike", ["x"], ["y"]))
    engine = engine_of(tmp_path, model)

    assert choose_stable_cases([engine], [{"x": np.ones(3, dtype=np.float32)}], Tolerance(), Steps()) == ()


def scaled(factor: float) -> object:
    """`x` FP32 [N, 2] -> y FP32 [N, 2], that many times as large."""
    model = tiny.identity(shape=("N", 2))
    del model.graph.node[:]
    model.graph.initializer.append(helper.make_tensor("factor", TensorProto.FLOAT, [], [factor]))
    model.graph.node.append(helper.make_node("Mul", ["x", "factor"], ["y"]))
    return model
