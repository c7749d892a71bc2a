"""Methods, requests, players and backgrounds: what is explained, what is refused, and what another file can add."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import helper

from laboratory import Laboratory, background_of, perceptron, product
from onnxlet.errors import InvalidInputError, NotExplainableError, RejectedModelError
from onnxlet.explain import table
from onnxlet.explain.document import PlayerDocument
from onnxlet.explain.interface import Attributions, Planning
from onnxlet.explain.request import ExplanationRequest, read_request
from onnxlet.values.signature import TensorSpec

COLUMNS = ("age", "dose", "sex_f", "sex_m")
ROW = {"x": np.array([[0.5, -1.0, 2.0, 0.25]], dtype=np.float32)}


class HalfEach:
    """Gives two players half of the way each."""

    nbytes = 7

    def __init__(self, planning: Planning) -> None:
        self._table = planning.table

    def refusal(self, *_: object) -> str:
        return ""

    def cost(self, budget: object) -> int:  # noqa: ARG002
        return 1

    def explain(self, rows: Any, target: Any, budget: Any, evaluation: Any) -> Attributions:  # noqa: ANN401, ARG002
        predictions = evaluation.answers(rows)
        shares = np.zeros((len(predictions), 4, 1))
        shares[:, :2] = predictions[:, None] / 2
        return Attributions(
            values=shares,
            expected=np.zeros(1),
            predictions=predictions,
            output=target.output.name,
            unit="halves",
            background=False,
        )


@pytest.fixture
def halves() -> Iterator[None]:
    """A method that another package adds."""
    module = ModuleType("halves_of_others")
    module.plan = HalfEach  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    known = dict(table.METHODS)
    table.add_method("halves", table.MethodEntry(module.__name__, background=False))
    yield
    table.METHODS.clear()
    table.METHODS.update(known)


@pytest.mark.usefixtures("halves")
def test_a_method_is_a_module_and_a_line_of_the_table(laboratory: Laboratory) -> None:
    model = product(laboratory)
    size = model.nbytes
    explained = model.explain(ROW)
    assert (explained.method, explained.unit, explained.background) == ("halves", "halves", None)
    assert explained.sum_error == 0
    assert model.nbytes == size + 7, "what a method keeps counts as the model's memory"
    assert model.explain(ROW, request=ExplanationRequest(method="exact")).method == "exact"


@pytest.mark.parametrize(
    ("asked", "method", "sampled"),
    [
        ({}, "exact", False),
        ({"method": "sampled", "max_evaluations": 100}, "sampled", True),
        ({"above": 9.0}, "exact", False),
    ],
)
def test_what_rows_will_cost_and_have_is_known_before(
    laboratory: Laboratory, asked: dict[str, Any], method: str, sampled: bool
) -> None:
    model = product(laboratory)
    planned = model.plan_explanations(read_request(asked))
    explained = model.explain(ROW, request=read_request({**asked, "above": None}))
    assert (planned.explanation.method, planned.explanation.players) == (method, explained.players)
    assert (planned.explanation.interval is not None) == (explained.interval is not None) == sampled
    np.testing.assert_array_equal(planned.explanation.expected, explained.expected)
    # the background is asked about by the first alone
    assert planned.cost == explained.evaluations


def test_few_features_are_exact_and_many_are_sampled_by_themselves(laboratory: Laboratory) -> None:
    assert product(laboratory).explain(ROW).method == "exact"
    many = perceptron(laboratory).explain({"x": background_of(1, 30, seed=5)})
    assert (many.method, many.pairs, many.evaluations) == ("sampled", 100, 5800 + 100 + 1)


def test_an_answer_says_what_it_is_of_and_against_what(laboratory: Laboratory) -> None:
    explained = product(laboratory).explain(ROW)
    assert (explained.output, explained.unit, explained.classes) == ("y", "value", ("y",))
    assert explained.players == ("x[0]", "x[1]", "x[2]", "x[3]")
    assert explained.background is not None
    assert (explained.background.kind, explained.background.rows) == ("synthetic", 12)
    assert explained.background.digest.startswith("sha256:")
    assert explained.attributions.shape == (1, 4, 1)
    assert explained.sum_error < 1e-9


def test_columns_are_the_players_and_a_matrix_is_the_same_row(laboratory: Laboratory) -> None:
    rows = background_of(10, 4)
    columns = {name: rows[:, number] for number, name in enumerate(COLUMNS)}
    model = product(laboratory, columns=COLUMNS, background=columns)
    named = {name: ROW["x"][:, number] for number, name in enumerate(COLUMNS)}
    by_column, by_matrix = model.explain(named, "columns"), model.explain(ROW)
    assert by_column.players == COLUMNS
    np.testing.assert_array_equal(by_column.attributions, by_matrix.attributions)


def test_merged_columns_are_one_player_and_not_a_sum_of_several(laboratory: Laboratory) -> None:
    rows = background_of(10, 4)
    columns = {name: rows[:, number] for number, name in enumerate(COLUMNS)}
    merged = product(
        laboratory, columns=COLUMNS, background=columns, players=[PlayerDocument("sex", ("sex_f", "sex_m"))]
    ).explain(ROW)
    assert merged.players == ("age", "dose", "sex")
    # the game of three players, by hand
    worth = {}
    for coalition in range(8):
        known = np.array([coalition & 1, coalition & 2, coalition & 4, coalition & 4], dtype=bool)
        worth[coalition] = (1 + np.where(known, ROW["x"][0], rows).astype(float)).prod(axis=1).mean()
    sex = (worth[4] - worth[0]) / 3 + (worth[5] - worth[1]) / 6 + (worth[6] - worth[2]) / 6 + (worth[7] - worth[3]) / 3
    assert merged.attributions[0, 2, 0] == pytest.approx(sex, abs=1e-5)


def test_one_class_several_or_all_are_explained(laboratory: Laboratory) -> None:
    model = perceptron(laboratory, features=5, rows=20)
    row = {"x": background_of(1, 5, seed=3)}
    both = model.explain(row)
    assert both.classes == ("p[0]", "p[1]")
    np.testing.assert_allclose(both.attributions.sum(axis=2), 0, atol=1e-6)
    second = model.explain(row, request=read_request({"classes": 1}))
    assert second.classes == ("p[1]",)
    np.testing.assert_allclose(second.attributions[:, :, 0], both.attributions[:, :, 1], atol=1e-15)
    assert model.explain(row, request=read_request({"classes": ["p[1]", "p[0]"]})).classes == ("p[1]", "p[0]")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"max_evaluations": 0}, "nothing can be explained with it"),
        ({"max_ms": 0}, "nothing can be explained with it"),
        ({"max_ms": float("nan")}, "nothing can be explained"),
        ({"max_evaluations": 10**9}, "1,000,000 at most"),
        ({"seed": -1}, "whole number"),
        ({"method": "gradients"}, "gradients are not computed"),
        ({"interaction_values": True}, "interactions are not computed"),
        ({"counterfactuals": 3}, "counterfactuals are not computed"),
        ({"max_evaluation": 7}, "takes method"),
        ({"seed": "7"}, "takes method"),
        ({"classes": []}, "leave it out"),
        ({"classes": "benign"}, "no class 'benign'"),
        ({"classes": 7}, "no class '7'"),
        ({"output": "z"}, "no output 'z'"),
        ({"method": "magic"}, "no method 'magic'"),
        ([], "an object of"),
        ("yes", "an object of"),
    ],
)
def test_what_is_asked_wrongly_is_refused(laboratory: Laboratory, document: Any, words: str) -> None:  # noqa: ANN401
    model = product(laboratory)
    with pytest.raises(InvalidInputError, match=words):
        model.explain(ROW, request=read_request(document))


def test_without_a_background_nothing_is_compared(laboratory: Laboratory) -> None:
    model = product(laboratory, background=None)
    for method in ("auto", "exact", "sampled"):
        with pytest.raises(NotExplainableError, match="no background"):
            model.explain(ROW, request=ExplanationRequest(method=method))


def test_ten_thousand_features_are_refused(laboratory: Laboratory) -> None:
    model = product(laboratory, features=10_000, rows=1)
    with pytest.raises(NotExplainableError, match="too many to explain"):
        model.explain({"x": np.zeros((1, 10_000), dtype=np.float32)})


def test_answers_that_are_no_numbers_are_refused(laboratory: Laboratory) -> None:
    model = laboratory.publish(
        "root",
        [helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0), helper.make_node("Sqrt", ["sum"], ["y"])],
        {"axes": np.array([1], dtype=np.int64)},
        features=3,
        outputs=[TensorSpec("y", "FP32", (-1,))],
        background={"x": np.abs(background_of(5, 3))},
    )
    with pytest.raises(NotExplainableError, match="NaN or infinite"):
        model.explain({"x": np.array([[-50, -50, -50]], dtype=np.float32)})


def test_no_rows_are_refused(laboratory: Laboratory) -> None:
    with pytest.raises(InvalidInputError, match="no rows"):
        product(laboratory).explain({"x": np.zeros((0, 4), dtype=np.float32)})


def test_the_background_is_fetched_by_the_first_who_explains(laboratory: Laboratory, tmp_path: Path) -> None:
    model = product(laboratory)
    assert not list((tmp_path / "cache").rglob("explain.*"))
    model.explain(ROW)
    assert [file.name for file in (tmp_path / "cache").rglob("explain.*")] == ["explain.background.json"]
    with pytest.raises(RejectedModelError, match="lacks"):
        model.fetch("explain.nothing")


def test_explanations_are_loaded_by_the_first_who_asks() -> None:
    program = (
        "import sys, onnxlet.dataplane.dispatch, onnxlet.serving.model;"
        "print([name for name in sys.modules if 'explain' in name])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_the_tables_of_many_coalitions_are_bounded(laboratory: Laboratory) -> None:
    model = product(laboratory, features=17, rows=1)
    row = {"x": np.zeros((1, 17), dtype=np.float32)}
    with pytest.raises(NotExplainableError, match="131,072 coalitions"):
        model.explain(row, request=ExplanationRequest("exact", max_evaluations=10**6))
