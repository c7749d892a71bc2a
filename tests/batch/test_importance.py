"""The mean size of attributions over a file, against Shapley's own formula, by however many processes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laboratory import Laboratory, background_of, perceptron, product
from onnxlet.batch.formats import blocks
from onnxlet.batch.importance import find_importance
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.request import read_request
from onnxlet.serving.model import Model
from onnxlet.store import Store
from shapley import shapley_values

NAMES = ("age", "dose", "weight", "height")
ROWS = background_of(200, 4, seed=5)
BACKGROUND = background_of(12, 4)


@pytest.fixture
def laboratory(store: Store, tmp_path: Path) -> Laboratory:
    return Laboratory(store, tmp_path)


@pytest.fixture
def model(laboratory: Laboratory) -> Model:
    """`product` of four named columns."""
    background = {name: BACKGROUND[:, place] for place, name in enumerate(NAMES)}
    return product(laboratory, columns=NAMES, background=background)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """The rows as CSV, one of them bad."""
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([NAMES, *ROWS[:100].tolist(), ["x", 1, 2, 3], *ROWS[100:].tolist()])
    return path


def sizes() -> Any:  # noqa: ANN401
    """The sizes of Shapley's values of each row, from the formula of `product`."""

    def worth(row: Any, known: frozenset[int]) -> Any:  # noqa: ANN401
        mixed = BACKGROUND.astype(float)
        mixed[:, list(known)] = row[list(known)]
        return np.array([(1 + mixed).prod(axis=1).mean()])

    return np.abs([shapley_values(lambda known, row=row: worth(row, known), 4)[:, 0] for row in ROWS])  # type: ignore[misc]


def test_importance_is_the_mean_size_of_attributions(model: Model, rows: Path) -> None:
    found = find_importance(model, rows, read_request({}))
    means = [found.importance["y"][name] for name in NAMES]
    np.testing.assert_allclose(means, sizes().mean(axis=0), rtol=1e-5)
    assert (found.rows.read, found.rows.scored, found.rows.errors) == (201, 200, 1)
    assert (found.averaged, found.unreliable, found.explained["method"]) == (200, 0.0, "exact")


def test_it_is_the_same_by_however_many_processes(model: Model, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "RANGE_BYTES", 2048)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 700)
    ends: list[tuple[int, int]] = []
    alone = find_importance(model, rows, read_request({}))
    three = find_importance(
        model, rows, read_request({}), workers=3, on_progress=lambda done, total: ends.append((done, total))
    )
    assert alone == three
    assert len(ends) > 3
    assert ends[-1] == (rows.stat().st_size,) * 2


def test_rows_that_are_not_above_are_not_averaged(model: Model, rows: Path) -> None:
    above = (1 + ROWS).prod(axis=1) > 1
    found = find_importance(model, rows, read_request({"above": 1.0}))
    assert (found.averaged, found.rows.scored) == (above.sum(), 200)
    np.testing.assert_allclose([found.importance["y"][name] for name in NAMES], sizes()[above].mean(axis=0), rtol=1e-5)
    assert find_importance(model, rows, read_request({"above": 1e9})).averaged == 0


def test_each_class_has_its_own_and_few_samples_are_said_to_be_unreliable(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    model = perceptron(laboratory, features=3, rows=20)
    np.save(tmp_path / "rows.npy", ROWS[:30, :3])
    found = find_importance(model, tmp_path / "rows.npy", read_request({"method": "sampled", "max_evaluations": 20}))
    assert list(found.importance) == ["p[0]", "p[1]"]
    # the probabilities of two classes move alike
    first, second = ([*each.values()] for each in found.importance.values())
    np.testing.assert_allclose(first, second, rtol=1e-3)
    assert (found.unreliable, found.explained["evaluations_per_row"]) == (1.0, 21)


def test_files_without_rows_and_models_without_explanations_are_refused(
    laboratory: Laboratory, model: Model, tmp_path: Path
) -> None:
    for text, words in (("age,dose,weight,height\n", "has no rows"), ("age,dose,weight,height\nx,x,x,x\n", "none of")):
        (tmp_path / "none.csv").write_text(text)
        with pytest.raises(InvalidInputError, match=words):
            find_importance(model, tmp_path / "none.csv", read_request({}))
    bare = product(laboratory, name="bare", background=None)
    np.save(tmp_path / "rows.npy", ROWS)
    with pytest.raises(NotExplainableError, match="no background"):
        find_importance(bare, tmp_path / "rows.npy", read_request({}))
