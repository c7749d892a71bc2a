"""Interventional values, against Shapley values by their definition."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given

from explain.trees.ensembles import COLUMNS, FEW, PLAYERS, ensembles, rows
from onnxlet.explain.trees import interventional
from onnxlet.explain.trees.ensemble import Ensemble
from onnxlet.explain.trees.interventional import Interventional
from onnxlet.values.tensors import Tensor
from shapley import answer, shapley_values


def mean_answer(
    ensemble: Ensemble, row: Tensor, background: Tensor, players: list[int], members: frozenset[int]
) -> Tensor:
    known = np.isin(players, list(members))
    return np.asarray(np.mean([answer(ensemble, np.where(known, row, other)) for other in background], axis=0))


@FEW
@given(ensembles(), rows(), rows(), PLAYERS)
def test_values_are_the_shapley_values_against_the_background(
    ensemble: Ensemble, asked: Tensor, background: Tensor, players: list[int]
) -> None:
    count = max(players) + 1
    explained = Interventional(ensemble, np.array(players), count, background)

    values = explained.explain(asked)

    for row, found in zip(asked, values, strict=True):
        expected = shapley_values(
            partial(mean_answer, ensemble, row, background, players),
            count,
        )
        np.testing.assert_allclose(found, expected, atol=1e-9)


@FEW
@given(ensembles(), rows(1), rows())
def test_values_against_each_background_row_are_those_against_it_alone(
    ensemble: Ensemble, asked: Tensor, background: Tensor
) -> None:
    players = np.arange(COLUMNS)
    apart = Interventional(ensemble, players, COLUMNS, background).explain_apart(asked[0])

    for other, found in zip(background, apart, strict=True):
        [alone] = Interventional(ensemble, players, COLUMNS, other[None]).explain(asked)
        np.testing.assert_allclose(found, alone, atol=1e-9)


@FEW
@given(ensembles(), rows(), rows())
def test_the_expected_value_is_the_mean_answer_to_the_background(
    ensemble: Ensemble, asked: Tensor, background: Tensor
) -> None:
    explained = Interventional(ensemble, np.arange(COLUMNS), COLUMNS, background)

    answers = np.array([answer(ensemble, row) for row in asked])
    others = np.array([answer(ensemble, row) for row in background])

    np.testing.assert_allclose(explained.answers, others, atol=1e-9)
    np.testing.assert_allclose(explained.explain(asked).sum(axis=1) + explained.expected, answers, atol=1e-9)


@FEW
@given(ensembles(), rows(), rows())
def test_masks_that_are_too_large_to_keep_give_the_same(ensemble: Ensemble, asked: Tensor, background: Tensor) -> None:
    kept = Interventional(ensemble, np.arange(COLUMNS), COLUMNS, background)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interventional, "MOST_BYTES", -1)
        made_again = Interventional(ensemble, np.arange(COLUMNS), COLUMNS, background)

    assert made_again.nbytes < kept.nbytes
    np.testing.assert_allclose(made_again.explain(asked), kept.explain(asked), atol=1e-9)


@FEW
@given(ensembles(), rows(), rows())
def test_leaf_tables_give_what_masks_do(ensemble: Ensemble, asked: Tensor, background: Tensor) -> None:
    tables = Interventional(ensemble, np.arange(COLUMNS), COLUMNS, background)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("onnxlet.explain.trees.leaf_tables.WIDEST", 0)
        masks = Interventional(ensemble, np.arange(COLUMNS), COLUMNS, background)

    np.testing.assert_allclose(masks.explain(asked), tables.explain(asked), atol=1e-9)
