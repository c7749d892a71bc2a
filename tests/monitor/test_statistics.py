"""Tests and distances of counts, against scipy's on the raw values that were counted."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from onnxlet.monitor.bins import count_in_bins, draw_edges
from onnxlet.monitor.statistics import (
    anderson_darling,
    chi_square,
    holm,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability,
    wasserstein,
)

random = np.random.default_rng(0)
counts = st.lists(st.integers(0, 500), min_size=2, max_size=20)


def counted(baseline: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    edges, _ = draw_edges(baseline)
    return count_in_bins(baseline, edges), count_in_bins(window, edges), edges


@pytest.mark.filterwarnings("ignore:p-value:UserWarning")  # scipy's table ends at 0.001 and 0.25
@pytest.mark.parametrize("shift", [0.0, 0.05, 0.08, 0.1])
def test_anderson_darling_of_counts_is_that_of_the_raw_values(shift: float) -> None:
    generator = np.random.default_rng(int(shift * 100))
    for _ in range(10):
        baseline, window = generator.normal(size=10_000), generator.normal(shift, 1, 1_000)
        raw = stats.anderson_ksamp([baseline, window], variant="midrank").pvalue
        binned = anderson_darling(*counted(baseline, window)[:2])
        if 0.001 < raw < 0.25:
            assert log(binned) == pytest.approx(log(raw), abs=0.4)
        else:
            assert binned < 0.002 if raw <= 0.001 else binned > 0.2


def test_anderson_darling_says_as_often_as_it_should_that_equal_columns_differ() -> None:
    generator = np.random.default_rng(3)
    columns = [
        (generator.normal(size=2_000), generator.normal(size=200)),
        (generator.integers(0, 4, 2_000).astype(float), generator.integers(0, 4, 200).astype(float)),
        (generator.binomial(1, 0.1, 2_000).astype(float), generator.binomial(1, 0.1, 200).astype(float)),
    ]
    for baseline, window in columns:
        pooled = np.concatenate([baseline, window])
        edges, _ = draw_edges(baseline)
        found = []
        for _ in range(400):
            generator.shuffle(pooled)
            found.append(anderson_darling(count_in_bins(pooled[:2_000], edges), count_in_bins(pooled[2_000:], edges)))
        assert np.mean(np.array(found) < 0.05) < 0.085  # 5 % and three standard errors


@settings(deadline=None)
@given(counts, counts)
def test_chi_square_without_rare_cells_is_scipys(first: list[int], second: list[int]) -> None:
    width = min(len(first), len(second))
    table = np.array([first[:width], second[:width]]) + 10_000
    assert chi_square(*table) == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)


def test_rare_cells_are_pooled() -> None:
    baseline, window = np.array([1000, 500, 3, 2, 1]), np.array([100, 50, 0, 1, 0])
    pooled = np.array([[1000, 500, 6], [100, 50, 1]])
    assert chi_square(baseline, window) == pytest.approx(stats.chi2_contingency(pooled, correction=False).pvalue)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_reject_what_holm_rejects_step_by_step(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for place, p in enumerate(p_values):
        assert adjusted[place] >= p
    order = np.argsort(p_values, kind="stable")
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, place in enumerate(order):  # Holm's own words: step down until one is not small enough
            if p_values[place] > alpha / (len(p_values) - rank):
                break
            rejected.add(place)
        assert {place for place, value in enumerate(adjusted) if value <= alpha} == rejected


@settings(deadline=None)
@given(counts, counts)
def test_distances_are_those_of_scipy_and_of_the_definition(first: list[int], second: list[int]) -> None:
    width = min(len(first), len(second))
    baseline, window = np.array(first[:width]) + 1, np.array(second[:width]) + 1
    p, q = baseline / baseline.sum(), window / window.sum()
    assert jensen_shannon(baseline, window) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-7)
    assert population_stability(baseline, window) == pytest.approx(float(((q - p) * np.log(q / p)).sum()), abs=1e-12)
    values = np.arange(width)
    raw = stats.ks_2samp(np.repeat(values, baseline), np.repeat(values, window), method="asymp").statistic
    assert kolmogorov_smirnov(baseline, window) == pytest.approx(raw, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_binned_distances_are_near_those_of_the_raw_values(shift: float) -> None:
    baseline, window = random.normal(size=10_000), random.normal(shift, 1, 1_000)
    first, second, edges = counted(baseline, window)
    clipped = [np.clip(values, edges[0], edges[-1]) for values in (baseline, window)]
    assert wasserstein(first, second, edges) == pytest.approx(stats.wasserstein_distance(*clipped), abs=0.03)
    assert kolmogorov_smirnov(first, second) == pytest.approx(stats.ks_2samp(baseline, window).statistic, abs=0.01)


def test_a_cell_that_the_window_lacks_is_large_and_not_infinite() -> None:
    assert 0.1 < population_stability(np.array([100, 100, 100]), np.array([100, 100, 0])) < 5


def test_nothing_to_compare_is_no_distance_and_no_surprise() -> None:
    some, none = np.array([5, 5]), np.array([0, 0])
    for distance in (population_stability, kolmogorov_smirnov, jensen_shannon):
        assert distance(some, none) == distance(none, some) == 0.0
    assert anderson_darling(some, none) == chi_square(none, some) == 1.0
    assert wasserstein(some, none, np.array([1.0])) == 0.0
