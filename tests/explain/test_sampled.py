"""Sampled and exact Shapley values, held to what is written down here by hand, or to formulas of others."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laboratory import Array, Laboratory, background_of, perceptron, product
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.request import ExplanationRequest
from onnxlet.explain.sampled import Places, Sums, _Turns, student


def by_permutations(row: Array, background: Array) -> Array:
    """The Shapley values of `product`, as they are defined: over all orders of the features."""
    features = len(row)
    values = np.zeros(features)
    orders = list(permutations(range(features)))
    for order in orders:
        known = np.zeros(features, dtype=bool)
        before = (1 + background).prod(axis=1).mean()
        for feature in order:
            known[feature] = True
            after = (1 + np.where(known, row, background)).prod(axis=1).mean()
            values[feature] += (after - before) / len(orders)
            before = after
    return values


def test_exact_values_are_those_of_all_orders(laboratory: Laboratory) -> None:
    rows = background_of(3, 4, seed=2)
    explained = product(laboratory).explain({"x": rows})
    background = background_of(12, 4).astype(float)
    for row, values in zip(rows.astype(float), explained.attributions[:, :, 0], strict=True):
        np.testing.assert_allclose(values, by_permutations(row, background), atol=1e-5)
    assert explained.interval is None


def test_sampled_values_lie_within_their_interval_and_sum(laboratory: Laboratory) -> None:
    rows = background_of(20, 6, seed=2)
    model = product(laboratory, features=6)
    sampled = model.explain({"x": rows}, request=ExplanationRequest("sampled", seed=3))
    exact = model.explain({"x": rows}, request=ExplanationRequest("exact"))
    assert sampled.interval is not None
    inside = np.abs(sampled.attributions - exact.attributions) <= sampled.interval + 1e-6
    assert inside.mean() >= 0.92
    assert sampled.sum_error < 1e-9
    assert not sampled.unreliable
    assert sampled.residual is not None
    assert np.abs(sampled.residual).max() > 1e-6, (
        "100 pairs use some of 12 rows of the background once more than others"
    )


def test_nothing_is_left_to_spread_where_each_row_of_the_background_is_used_alike(laboratory: Laboratory) -> None:
    model = product(laboratory, features=6, rows=10)
    sampled = model.explain({"x": background_of(5, 6, seed=2)}, request=ExplanationRequest("sampled"))
    assert sampled.residual is not None
    assert np.abs(sampled.residual).max() < 1e-9


def test_the_seed_makes_an_explanation_repeatable_and_rows_do_not_depend_on_others(laboratory: Laboratory) -> None:
    model = perceptron(laboratory)
    rows = background_of(3, 30, seed=4)
    together = model.explain({"x": rows}, request=ExplanationRequest(seed=8, max_evaluations=600))
    alone = model.explain({"x": rows[1:2]}, request=ExplanationRequest(seed=8, max_evaluations=600))
    other = model.explain({"x": rows[1:2]}, request=ExplanationRequest(seed=9, max_evaluations=600))
    # runs of other sizes may round otherwise
    np.testing.assert_allclose(together.attributions[1], alone.attributions[0], atol=1e-6)
    assert np.abs(other.attributions - alone.attributions).max() > 1e-4
    assert (alone.seed, other.seed) == (8, 9)


def test_too_few_pairs_are_told_and_fewer_than_two_refused(laboratory: Laboratory) -> None:
    model = perceptron(laboratory)
    row = {"x": background_of(1, 30, seed=4)}
    few = model.explain(row, request=ExplanationRequest(max_evaluations=33 * 58))
    assert (few.pairs, few.unreliable) == (33, True)
    enough = model.explain(row, request=ExplanationRequest(max_evaluations=34 * 58))
    assert (enough.pairs, enough.unreliable) == (34, False)
    with pytest.raises(InvalidInputError, match="at least 116 for 30 players"):
        model.explain(row, request=ExplanationRequest(max_evaluations=115))


def test_time_that_is_up_gives_fewer_pairs_and_says_so(laboratory: Laboratory) -> None:
    model = perceptron(laboratory)
    rows = {"x": background_of(4, 30, seed=4)}
    hurried = model.explain(rows, request=ExplanationRequest(max_ms=0.001))
    assert (hurried.pairs, hurried.unreliable) == (2, True)
    assert hurried.sum_error < 1e-9


def test_exact_values_that_take_too_long_are_refused_with_what_to_ask_instead(laboratory: Laboratory) -> None:
    model = product(laboratory)
    row = {"x": background_of(1, 4, seed=4)}
    for method in ("exact", "auto"):
        with pytest.raises(NotExplainableError, match=r"'max_ms' was over .* fewer rows per call, .* 'sampled'"):
            model.explain(row, request=ExplanationRequest(method, max_ms=0.001))
    assert model.explain(row, request=ExplanationRequest("exact", max_ms=60_000)).sum_error < 1e-9


def test_one_player_gets_all_there_is(laboratory: Laboratory) -> None:
    model = product(laboratory, features=1)
    for method in ("exact", "sampled"):
        explained = model.explain({"x": np.array([[3.0]], dtype=np.float32)}, request=ExplanationRequest(method))
        assert explained.attributions[0, 0, 0] == pytest.approx(4 - explained.expected[0])


def test_a_feature_that_makes_no_difference_gets_nothing(laboratory: Laboratory) -> None:
    row, background = background_of(1, 12, seed=6), background_of(12, 12)
    background[:, 0] = row[0, 0]
    model = product(laboratory, features=12, background={"x": background})
    explained = model.explain({"x": row}, request=ExplanationRequest("sampled"))
    assert explained.attributions[0, 0, 0] == pytest.approx(0, abs=1e-7)


@given(st.integers(1, 40), st.integers(1, 120), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_places_are_permutations_that_come_alike_often(players: int, count: int, seed: int) -> None:
    places = Places(np.random.default_rng(seed), players).take(count)
    assert (np.sort(places, axis=1) == np.arange(players)).all()
    for player in range(players):
        times = np.bincount(places[: count - count % players, player], minlength=players)
        assert (times == count // players).all()


@given(st.integers(1, 30), st.lists(st.integers(1, 50), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_rows_of_the_background_come_in_turns(rows: int, counts: list[int]) -> None:
    turns = _Turns(np.random.default_rng(0), rows)
    times = np.bincount(np.concatenate([turns.take(count) for count in counts]), minlength=rows)
    assert times.max() - times.min() <= 1


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
@settings(max_examples=30, deadline=None)
def test_sums_of_blocks_are_those_of_all(sizes: list[int]) -> None:
    values = np.random.default_rng(0).normal(1e6, 1, size=(sum(sizes), 3))
    sums = Sums()
    for block in np.split(values, np.cumsum(sizes)[:-1]):
        sums.add(block)
    np.testing.assert_allclose(sums.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(sums.standard_error(), values.std(axis=0, ddof=1) / np.sqrt(len(values)), rtol=1e-6)


def test_students_quantile_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 4, 5, 9, 16, 33, 99, 1000):
        assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=4e-3)
