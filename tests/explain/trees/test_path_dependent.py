"""Path-dependent values, against Shapley values by their definition."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explain.trees.ensembles import COLUMNS, FEW, PLAYERS, ensembles, rows
from onnxlet.explain.trees import path_dependent
from onnxlet.explain.trees.ensemble import Ensemble
from onnxlet.explain.trees.path_dependent import PathDependent
from onnxlet.values.tensors import Tensor
from shapley import answer, answer_where_known, shapley_values


def known_to(ensemble: Ensemble, row: Tensor, players: list[int], members: frozenset[int]) -> Tensor:
    return answer_where_known(ensemble, row, {column for column in range(COLUMNS) if players[column] in members})


@FEW
@given(ensembles(), rows(), PLAYERS)
def test_values_are_the_shapley_values_of_what_the_trees_expect(
    ensemble: Ensemble, asked: Tensor, players: list[int]
) -> None:
    count = max(players) + 1
    explained = PathDependent(ensemble, np.array(players), count)

    values = explained.explain(asked)

    for row, found in zip(asked, values, strict=True):
        expected = shapley_values(
            partial(known_to, ensemble, row, players),
            count,
        )
        np.testing.assert_allclose(found, expected, atol=1e-9)


@FEW
@given(ensembles(), rows())
def test_values_sum_to_the_answer_minus_the_expected_value(ensemble: Ensemble, asked: Tensor) -> None:
    explained = PathDependent(ensemble, np.arange(COLUMNS), COLUMNS)

    answers = np.array([answer(ensemble, row) for row in asked])

    np.testing.assert_allclose(explained.explain(asked).sum(axis=1) + explained.expected, answers, atol=1e-9)


@FEW
@given(ensembles(), rows())
def test_tables_that_are_too_large_to_keep_give_the_same(ensemble: Ensemble, asked: Tensor) -> None:
    kept = PathDependent(ensemble, np.arange(COLUMNS), COLUMNS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_dependent, "MOST_BYTES", 0)
        made_again = PathDependent(ensemble, np.arange(COLUMNS), COLUMNS)

    assert made_again.nbytes < kept.nbytes
    np.testing.assert_array_equal(made_again.explain(asked), kept.explain(asked))


@FEW
@given(ensembles(), rows(), st.integers(1, 6))
def test_trees_that_are_arranged_apart_give_the_same(ensemble: Ensemble, asked: Tensor, edges: int) -> None:
    together = PathDependent(ensemble, np.arange(COLUMNS), COLUMNS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("onnxlet.explain.trees.levels.MOST_EDGES", edges)
        apart = PathDependent(ensemble, np.arange(COLUMNS), COLUMNS)

    np.testing.assert_allclose(apart.explain(asked), together.explain(asked), atol=1e-9)


def test_a_path_of_many_players_loses_no_digits() -> None:
    depth = 60
    splits = np.arange(depth, dtype=np.int32)
    chain = Ensemble(
        columns=splits,
        thresholds=np.zeros(depth, dtype=np.float32),
        modes=np.zeros(depth, dtype=np.uint8),
        missing_true=np.zeros(depth, dtype=bool),
        shares=np.full(depth, 0.9),
        children=np.stack([np.append(splits[1:], -1), ~(splits + 1)], axis=1).astype(np.int32),
        leaves=np.arange(depth + 1, dtype=np.float64)[:, None],
        roots=np.zeros(1, dtype=np.int32),
        targets=np.zeros(1, dtype=np.int32),
        base=np.zeros(1),
    )
    row = np.where(np.arange(depth) % 3, -1, 1).astype(np.float32)
    explained = PathDependent(chain, np.arange(depth), depth)

    assert explained.explain(row[None]).sum() + explained.expected[0] == pytest.approx(answer(chain, row)[0], abs=1e-9)
