"""Steps: named columns in, labels and probabilities out."""

from __future__ import annotations

import numpy as np
import pytest

from onnxlet.errors import ExecutionError, InvalidInputError
from onnxlet.steps import (
    Classification,
    Column,
    Steps,
    Tabular,
)
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

MATRIX = Tabular(
    columns=(Column("age", "FP32"), Column("smoker", "BOOL"), Column("packs", "INT64", default=0)), input="x"
)
MATRIX_GRAPH = Signature(inputs=(TensorSpec("x", "FP32", (-1, 3)),), outputs=())
APART = Tabular(columns=(Column("age", "INT64"), Column("sex", "BYTES", default="unknown")))
APART_GRAPH = Signature(inputs=(TensorSpec("sex", "BYTES", (-1, 1)), TensorSpec("age", "FP32", (-1, 1))), outputs=())


def step(
    labels: tuple[str, ...] = ("benign", "malignant"),
    classes: tuple[int | str, ...] = (0, 1),
    probabilities: str | None = "p",
) -> Classification:
    return Classification(label="c", probabilities=probabilities, labels=labels, classes=classes)


def outputs(values: list[int] | list[str], probabilities: list[list[float]]) -> Tensors:
    kind = object if isinstance(values[0], str) else np.int64
    return {"c": np.array(values, dtype=kind), "p": np.array(probabilities, np.float32)}


def classified(step: Classification, outputs: Tensors) -> Tensors:
    return step.postprocessor().apply(outputs)


def graph_inputs(tabular: Tabular, columns: Tensors, graph: Signature) -> Tensors:
    return tabular.preprocessor(graph.inputs)(columns)


def told(answer: Tensors) -> dict[str, object]:
    return {name: tensor.tolist() for name, tensor in answer.items()}


def test_a_label_is_the_name_of_its_class_and_comes_with_its_probability() -> None:
    assert told(classified(step(), outputs([1, 0], [[0.25, 0.75], [0.5, 0.5]]))) == {
        "label": ["malignant", "benign"],
        "probability": [0.75, 0.5],
        "probabilities": [[0.25, 0.75], [0.5, 0.5]],
    }


@pytest.mark.parametrize("rows", [1, 3])
def test_one_row_and_many_give_the_same(rows: int) -> None:
    answer = classified(step(), outputs([1] * rows, [[0.25, 0.75]] * rows))
    assert told(answer) == {
        "label": ["malignant"] * rows,
        "probability": [0.75] * rows,
        "probabilities": [[0.25, 0.75]] * rows,
    }
    assert answer["label"].dtype == object
    assert answer["probability"].dtype == np.float32


@pytest.mark.parametrize("rows", [1, 3])
def test_of_several_targets_each_has_answers_that_end_with_its_name(rows: int) -> None:
    stage = Classification("s", "q", ("I", "II", "III"), (1, 2, 3), target="stage")
    status = Classification("t", None, (), (0, 1), target="status")
    answers = outputs([2] * rows, [[0.1, 0.7, 0.2]] * rows)
    graph = {"s": answers["c"], "q": answers["p"], "t": np.array([1] * rows)}

    first, second = Steps((stage, status)).postprocessors()

    assert (*first.needs, *second.needs) == ("s", "q", "t")
    assert first.provides == ("label_stage", "probability_stage", "probabilities_stage")
    assert second.provides == ("label_status",)
    told_of = told(first.apply(graph) | second.apply(graph))
    assert tuple(told_of) == first.provides + second.provides
    assert told_of["label_stage"] == ["II"] * rows
    assert told_of["probability_stage"] == pytest.approx([0.7] * rows)
    assert told_of["label_status"] == [1] * rows


def test_no_row_gives_no_label() -> None:
    empty: Tensors = {"c": np.zeros(0, np.int64), "p": np.zeros((0, 2), np.float32)}
    assert told(classified(step(), empty)) == {"label": [], "probability": [], "probabilities": []}


def test_the_probability_is_the_labels_own_even_if_another_is_larger() -> None:
    """Support vector machines decide by distance; their fitted probabilities may lean the other way."""
    for rows in (1, 2):
        assert told(classified(step(), outputs([0] * rows, [[0.4, 0.6]] * rows)))["probability"] == pytest.approx(
            [0.4] * rows
        )


@pytest.mark.parametrize(
    ("classes", "values"),
    [((-1, 1), [1, -1]), ((7, 3), [3, 7]), (("b", "m"), ["m", "b"])],
    ids=["signed", "unsorted", "strings"],
)
@pytest.mark.parametrize("rows", [1, 2])
def test_classes_may_be_any_integers_or_strings(
    classes: tuple[int | str, ...], values: list[int] | list[str], rows: int
) -> None:
    probabilities = [[0.25, 0.75], [0.5, 0.5]]
    answer = told(classified(step(classes=classes), outputs(values[:rows], probabilities[:rows])))
    assert answer["label"] == ["malignant", "benign"][:rows]
    assert answer["probability"] == [0.75, 0.5][:rows]


@pytest.mark.parametrize("rows", [1, 2])
def test_without_labels_the_class_values_are_the_labels(rows: int) -> None:
    answer = classified(step(labels=(), classes=(3, 5)), outputs([5] * rows, [[0.25, 0.75]] * rows))
    assert answer["label"].dtype == np.int64
    assert told(answer)["label"] == [5] * rows
    assert told(answer)["probability"] == [0.75] * rows


def test_without_probabilities_there_is_a_label_only() -> None:
    assert told(classified(step(probabilities=None), {"c": np.array([1])})) == {"label": ["malignant"]}


@pytest.mark.parametrize("classes", [(0, 1), (3, 5), ("b", "m")])
@pytest.mark.parametrize("rows", [1, 2])
def test_a_class_that_is_not_listed_is_the_models_failure(classes: tuple[int | str, ...], rows: int) -> None:
    for value in (["x"] * rows,) if isinstance(classes[0], str) else ([-1] * rows, [2] * rows, [4] * rows):
        with pytest.raises(ExecutionError, match="does not list"):
            classified(step(classes=classes), outputs(value, [[0.25, 0.75]] * rows))


def test_the_columns_are_inputs_of_any_length() -> None:
    assert APART.inputs(APART_GRAPH.inputs) == (TensorSpec("age", "INT64", (-1,)), TensorSpec("sex", "BYTES", (-1,)))


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_columns_become_one_matrix_in_the_models_order_and_type(rows: int) -> None:
    columns: Tensors = {
        "packs": np.arange(rows),
        "smoker": np.ones(rows, bool),
        "age": np.full(rows, 50.5),
    }
    matrix = graph_inputs(MATRIX, columns, MATRIX_GRAPH)["x"]
    assert matrix.dtype == np.float32
    assert matrix.shape == (rows, 3)
    assert matrix.flags.c_contiguous
    assert matrix.tolist() == [[50.5, 1.0, row] for row in range(rows)]


def test_absent_columns_get_their_defaults() -> None:
    matrix = graph_inputs(MATRIX, {"age": np.array([1.0, 2.0]), "smoker": np.array([True, False])}, MATRIX_GRAPH)
    assert matrix["x"].tolist() == [[1.0, 1.0, 0.0], [2.0, 0.0, 0.0]]


def test_columns_may_be_graph_inputs_of_their_own() -> None:
    inputs = graph_inputs(APART, {"age": np.array([41, 42])}, APART_GRAPH)
    assert {name: tensor.tolist() for name, tensor in inputs.items()} == {
        "age": [[41.0], [42.0]],
        "sex": [["unknown"], ["unknown"]],
    }
    assert inputs["age"].dtype == np.float32


def test_graph_inputs_of_one_dimension_stay_so() -> None:
    graph = Signature(inputs=(TensorSpec("age", "INT64", (-1,)), TensorSpec("sex", "BYTES", (-1,))), outputs=())
    assert graph_inputs(APART, {"age": np.array([41])}, graph)["age"].tolist() == [41]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"age": np.ones(1)}, "the columns 'smoker' are missing"),
        ({"age": np.ones(1), "smoker": np.ones(1), "height": np.ones(1)}, "no columns 'height'"),
        ({"age": np.ones(2), "smoker": np.ones(1), "packs": np.ones(0)}, "all of one length"),
        ({"age": np.ones((1, 1)), "smoker": np.ones((1, 1)), "packs": np.ones((1, 1))}, "all of one length"),
        ({"age": np.array(["old"], dtype=object), "smoker": np.ones(1)}, "do not fit the model's types"),
    ],
    ids=["missing", "unknown", "ragged", "matrix", "words"],
)
def test_columns_that_do_not_fit_are_the_callers_fault(columns: dict[str, Tensor], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        graph_inputs(MATRIX, columns, MATRIX_GRAPH)


def test_no_column_at_all_says_nothing_about_rows() -> None:
    optional = Tabular(columns=(Column("packs", "INT64", default=0),), input="x")
    graph = Signature(inputs=(TensorSpec("x", "FP32", (-1, 1)),), outputs=())
    with pytest.raises(InvalidInputError, match="at least one"):
        graph_inputs(optional, {}, graph)
