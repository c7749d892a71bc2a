"""Tail probabilities against scipy's, and against sums that were drawn."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from onnxlet.monitor.distributions import chi_square_tail, weighted_chi_squares_tail


@settings(deadline=None)
@given(st.floats(0, 1e3), st.integers(1, 200))
def test_the_tail_of_a_chi_square_is_scipys(statistic: float, degrees: int) -> None:
    assert chi_square_tail(statistic, degrees) == pytest.approx(stats.chi2.sf(statistic, degrees), rel=1e-8)


def test_without_degrees_of_freedom_nothing_is_ever_surprising() -> None:
    assert chi_square_tail(3.0, 0) == 1.0
    assert weighted_chi_squares_tail(3.0, np.array([])) == 1.0


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_equal_weights_give_a_chi_square(count: int) -> None:
    for statistic in (0.1 * count, count, 2 * count, 5 * count):
        tail = weighted_chi_squares_tail(3 * statistic, np.full(count, 3.0))
        assert tail == pytest.approx(stats.chi2.sf(statistic, count), rel=0.04)


def test_the_weights_of_anderson_and_darling_give_their_published_critical_values() -> None:
    weights = 1 / (np.arange(1, 2000) * np.arange(2, 2001))
    for level, critical in ((0.10, 1.933), (0.05, 2.492), (0.01, 3.857), (0.001, 5.966)):  # Lewis, 1961
        assert weighted_chi_squares_tail(critical, weights) == pytest.approx(level, rel=0.08)


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=40), st.lists(st.floats(1e-3, 1e4), min_size=2, max_size=5))
def test_tails_lie_between_0_and_1_and_fall(weights: list[float], statistics: list[float]) -> None:
    tails = [weighted_chi_squares_tail(statistic, np.array(weights)) for statistic in sorted(statistics)]
    assert all(0 <= tail <= 1 for tail in tails)
    assert all(later <= earlier + 1e-4 for earlier, later in pairwise(tails))
