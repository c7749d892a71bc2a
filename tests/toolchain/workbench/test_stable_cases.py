"""Golden rows that are nobody's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models import tiny
from onnxlet.errors import RejectedModelError
from onnxlet.serving.engine import OnnxEngine, load_engine
from onnxlet.toolchain.workbench.stable_cases import (
    arbitrary_rows,
    between_whole_numbers,
    clear_rows,
    draw_inputs,
    golden_cases,
    random_inputs,
    rounding_share,
    row_cases,
    synthetic_rows,
    telling_order,
)
from onnxlet.values.manifest import Classification, Column, Steps, Tabular, Tolerance
from onnxlet.values.tensors import Tensors


def patients(count: int = 200) -> Tensors:
    """Columns like those of people: continuous, whole, rare and frequent categories."""
    random = np.random.default_rng(1)
    sex = random.choice(["female", "male"], count).astype(object)
    sex[7] = "the only one of its kind"
    return {
        "age": random.integers(18, 95, count).astype(np.float32),
        "weight": random.normal(70, 12, count).astype(np.float32),
        "smoker": random.integers(0, 2, count).astype(np.float32),
        "sex": sex,
    }


def rows_of(columns: Tensors) -> set[tuple[object, ...]]:
    return set(zip(*(column.tolist() for column in columns.values()), strict=True))


def engine_of(folder: Path, model: object) -> OnnxEngine:
    path = tiny.save(model, folder)["model.onnx"]  # type: ignore[arg-type]
    return load_engine(path, threads=1, optimized=False, run_deadline=10)


@given(st.integers(0, 10_000))
def test_no_synthetic_row_is_a_row_of_the_data(seed: int) -> None:
    columns = patients()

    drawn = synthetic_rows(columns, 100, seed=seed)

    assert len(drawn["age"]) > 50
    assert not rows_of(drawn) & rows_of(columns)


def test_rare_values_and_extremes_stay_out() -> None:
    columns = patients()
    columns["weight"][3] = 250.0

    drawn = synthetic_rows(columns, 2000, seed=0)

    assert set(drawn["sex"]) == {"female", "male"}
    assert drawn["weight"].max() < 200


def test_whole_numbers_stay_whole_and_flags_stay_flags() -> None:
    drawn = synthetic_rows(patients(), 500, seed=0)

    assert (drawn["age"] == np.floor(drawn["age"])).all()
    assert set(drawn["smoker"].tolist()) == {0.0, 1.0}
    assert drawn["age"].dtype == np.float32


def test_each_feature_keeps_its_distribution() -> None:
    columns = patients(2000)

    drawn = synthetic_rows(columns, 2000, seed=0)

    assert drawn["weight"].mean() == pytest.approx(columns["weight"].mean(), abs=1)
    assert drawn["weight"].std() == pytest.approx(columns["weight"].std(), rel=0.15)


def test_missing_numbers_are_no_statistics() -> None:
    columns = {"a": np.array([np.nan, 1.5, 2.5, np.nan, 3.5] * 8), "b": np.full(40, np.nan)}

    drawn = synthetic_rows(columns, 20, seed=0)

    assert np.isfinite(drawn["a"]).all()
    assert (drawn["b"] == 0).all()


def test_nothing_is_drawn_where_every_combination_is_somebodys_row() -> None:
    columns = {"flag": np.array([0.0, 1.0] * 20)}

    assert len(synthetic_rows(columns, 50, seed=0)["flag"]) == 0
    assert len(arbitrary_rows(columns, 50, seed=0)["flag"]) == 50


def test_arbitrary_rows_owe_nothing_to_the_data() -> None:
    columns = patients()

    drawn = arbitrary_rows(columns, 20, seed=0)

    assert not set(drawn["sex"]) & set(columns["sex"])
    assert {name: column.dtype for name, column in drawn.items()} == {
        name: column.dtype for name, column in columns.items()
    }


def test_rows_near_the_boundary_come_first_and_every_class_is_there() -> None:
    probabilities = np.array([[0.9, 0.1], [0.51, 0.49], [0.2, 0.8], [0.45, 0.55]])
    label = np.array([0, 0, 1, 1])

    assert telling_order(label, probabilities) == [1, 0, 2, 3]


def test_of_predictions_the_middle_and_the_extremes_come_first() -> None:
    assert telling_order(None, np.array([5.0, 1.0, 3.0, 2.0, 4.0]))[:3] == [2, 1, 0]


def test_a_classifier_without_probabilities_gets_a_row_of_each_class() -> None:
    assert telling_order(np.array(["b", "b", "a"], dtype=object), None)[:2] == [0, 2]


def test_at_most_four_cases_are_kept(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, tiny.classifier())
    inputs = {"input": np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)}

    cases = golden_cases([engine], row_cases(inputs, list(range(20))), Tolerance(), Steps())

    assert len(cases) == 4
    np.testing.assert_array_equal(cases[2].inputs["input"], inputs["input"][2:3])


def test_rows_on_the_very_edge_are_left_out(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, tiny.classifier())
    on_the_edge = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    clear = np.array([[1.0, 2.0, 2.5]], dtype=np.float32)

    cases = golden_cases([engine], [{"input": on_the_edge}, {"input": clear}], Tolerance(), Steps())

    assert [case.inputs["input"].tolist() for case in cases] == [clear.tolist()]


def test_rows_whose_label_hangs_on_the_tolerance_are_not_clear() -> None:
    probabilities = np.array([[0.5, 0.5], [0.5005, 0.4995], [0.501, 0.499], [0.1, 0.9]], dtype=np.float32)
    clear = np.array([False, False, True, True])
    target = Classification("label", "probabilities", (), (0, 1))

    found = clear_rows(
        {"label": np.array([0, 0, 0, 1]), "probabilities": probabilities},
        Steps(classification=target),
        Tolerance(absolute=1e-4, relative=1e-3),
    )

    np.testing.assert_array_equal(found, clear)


def test_a_row_must_be_clear_for_every_target() -> None:
    steps = Steps(
        classifications=tuple(Classification(f"label {name}", name, (), (0, 1), target=name) for name in ("a", "b"))
    )
    sure, tied = [0.1, 0.9], [0.5, 0.5]
    outputs = {name: np.array([1, 1, 1]) for name in ("label a", "label b")}
    outputs |= {"a": np.array([sure, tied, sure]), "b": np.array([sure, sure, tied])}

    assert clear_rows(outputs, steps, Tolerance()).tolist() == [True, False, False]


def test_without_probabilities_all_rows_pass() -> None:
    outputs = {"label": np.array([0, 1])}

    assert clear_rows(outputs, Steps(classification=Classification("label", None, (), (0, 1))), Tolerance()).all()


def test_answers_that_differ_between_engines_are_no_cases(tmp_path: Path) -> None:
    engine, other = (engine_of(tmp_path / name, scaled(factor)) for name, factor in (("a", 1.0), ("b", 1.001)))
    inputs = [{"x": np.ones((1, 2), dtype=np.float32)}]

    assert golden_cases([engine, engine], inputs, Tolerance(), Steps())
    assert not golden_cases([engine, other], inputs, Tolerance(), Steps())
    assert rounding_share([engine, other], golden_cases([engine], inputs, Tolerance(), Steps()), Tolerance()) > 0.5


def test_rows_that_answer_otherwise_within_a_batch_are_no_cases(tmp_path: Path) -> None:
    model = tiny.identity(shape=("N", 2))
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("CumSum", ["x", "axis"], ["y"]))
    model.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [], [0]))
    engine = engine_of(tmp_path, model)
    inputs = [{"x": np.ones((1, 2), dtype=np.float32)}]
    tabular = Tabular((Column("a", "FP32"), Column("b", "FP32")), input="x")

    assert golden_cases([engine], inputs, Tolerance(), Steps())
    assert not golden_cases([engine], inputs, Tolerance(), Steps(tabular=tabular))


def test_whole_numbers_are_moved_off_what_trees_split_at_and_all_else_stays() -> None:
    columns: Tensors = {
        "count": np.array([0, 3, -2], np.float32),
        "size": np.array([0.5, 1, np.nan]),
        "age": np.array([3, 4, 5]),
        "sex": np.array(["m", "f", "m"], object),
    }
    moved = between_whole_numbers(columns)
    np.testing.assert_allclose(moved["count"], [0.3, 3.3, -1.7], rtol=1e-6)
    np.testing.assert_allclose(moved["size"], [0.5, 1.3, np.nan])
    assert [moved[name].dtype for name in columns] == [column.dtype for column in columns.values()]
    assert moved["age"] is columns["age"]
    assert moved["sex"] is columns["sex"]


def test_a_graph_that_is_never_the_same_has_no_cases(tmp_path: Path) -> None:
    model = tiny.identity()
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("RandomNormalLike", ["x"], ["y"]))
    engine = engine_of(tmp_path, model)

    assert golden_cases([engine], [{"x": np.ones(3, dtype=np.float32)}], Tolerance(), Steps()) == ()


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


def scaled(factor: float) -> object:
    """`x` FP32 [N, 2] -> y FP32 [N, 2], that many times as large."""
    model = tiny.identity(shape=("N", 2))
    del model.graph.node[:]
    model.graph.initializer.append(helper.make_tensor("factor", TensorProto.FLOAT, [], [factor]))
    model.graph.node.append(helper.make_node("Mul", ["x", "factor"], ["y"]))
    return model
