"""Bins: nested in deciles, never about a few people, the same for everyone who counts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onnxlet.monitor.bins import FEWEST, count_in_bins, count_with_missing, draw_edges

finite = arrays(np.float64, st.integers(FEWEST, 400), elements=st.floats(-1e6, 1e6).map(lambda value: round(value, 3)))


@settings(deadline=None)
@given(finite)
def test_every_bin_holds_ten_rows_or_none_unless_nearly_all_rows_are_equal(values: np.ndarray) -> None:
    edges, _ = draw_edges(values)
    counts = count_in_bins(values, edges)
    assert counts.sum() == len(values)
    within = edges[(edges >= values.min()) & (edges < values.max())]
    assert counts[counts > 0].min() >= FEWEST or len(within) <= 2


@settings(deadline=None)
@given(finite)
def test_edges_rise_and_the_largest_value_is_none_of_them(values: np.ndarray) -> None:
    edges, deciles = draw_edges(values)
    assert (np.diff(edges) > 0).all()
    assert all(0 <= place < len(edges) for place in deciles)
    if len(np.unique(values)) > 2:
        assert edges[-1] < values.max() or np.count_nonzero(values == values.max()) >= FEWEST or len(edges) == 2


def test_a_normal_column_has_forty_bins_of_equal_counts_and_two_outer_ones() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    edges, deciles = draw_edges(values)
    assert len(edges) == 41
    assert deciles == (4, 8, 12, 16, 20, 24, 28, 32, 36)
    counts = count_in_bins(values, edges)
    assert counts[[0, -1]] == pytest.approx([100, 100], rel=0.1)
    assert counts[2:-2] == pytest.approx(np.full(38, 2500), rel=0.06)


def test_deciles_are_those_of_numpy_to_a_thousandth_of_the_spread() -> None:
    values = np.random.default_rng(1).lognormal(size=20_000)
    edges, deciles = draw_edges(values)
    spread = np.quantile(values, 0.975) - np.quantile(values, 0.025)
    assert edges[list(deciles)] == pytest.approx(np.quantile(values, np.arange(1, 10) / 10), abs=spread / 900)


def test_edges_do_not_tell_digits_of_single_values() -> None:
    values = 36.0 + np.random.default_rng(2).random(5_000) * 6
    edges, _ = draw_edges(values)
    assert all(edge == round(edge, 4) for edge in edges)
    assert not set(edges.tolist()) & set(values.tolist())


def test_what_lies_on_an_edge_belongs_to_the_bin_below_it() -> None:
    assert count_in_bins(np.array([1.0, 1.5, 2.0, np.inf, -np.inf]), np.array([1.0, 2.0])).tolist() == [2, 2, 1]


def test_the_last_digits_of_values_that_repeat_move_none_of_them_across_an_edge() -> None:
    scores = np.random.default_rng(4).binomial(50, 0.7, 5_000) / 50
    edges, _ = draw_edges(scores.astype(np.float32).astype(np.float64))
    counts = count_in_bins(scores, edges)
    for last_digits in (1e-6, -1e-6):
        assert count_in_bins(scores * (1 + last_digits), edges).tolist() == counts.tolist()


def test_a_constant_column_has_a_bin_below_and_one_above() -> None:
    edges, _ = draw_edges(np.full(50, 7.0))
    assert count_in_bins(np.array([6.0, 7.0, 8.0]), edges).tolist() == [1, 1, 1]


def test_a_column_that_is_nearly_constant_still_shows_what_leaves_its_value() -> None:
    edges, _ = draw_edges(np.array([0.0] * 995 + [1.0] * 5))
    assert count_in_bins(np.array([-1.0, 0.0, 1.0]), edges).tolist() == [1, 1, 1]


def test_what_lies_beyond_ends_that_ten_rows_have_has_bins_of_its_own() -> None:
    grades = np.repeat(np.arange(5.0), 10)
    edges, _ = draw_edges(grades)
    assert count_in_bins(np.array([-999.0, 999.0]), edges)[[0, -1]].tolist() == [1, 1]
    assert count_in_bins(grades, edges)[[0, -1]].tolist() == [0, 0]
    edges, _ = draw_edges(grades[:-1])
    assert edges[-1] < 4, "an end that nine rows have is told to nobody"


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6, unique=True), st.integers(0, 3))
def test_edges_beyond_repeated_ends_lie_near_them_and_are_rounded(ends: list[float], digits: int) -> None:
    values = np.repeat(np.unique(np.round(ends, digits)), 12)
    assume(values[0] < values[-1])
    edges, _ = draw_edges(values)
    low, high = values[0], values[-1]
    assert low - (high - low) / 100 < edges[0] < low
    assert high < edges[-1] < high + (high - low) / 100


def test_edges_beyond_repeated_ends_do_not_tell_their_digits() -> None:
    edges, _ = draw_edges(np.repeat([1.23456789, 5.0, 9.87654321], 12))
    assert (str(edges[0]), str(edges[-1])) == ("1.2335", "9.8775")


def test_fewer_than_ten_rows_draw_no_edge() -> None:
    assert draw_edges(np.arange(9.0))[0].tolist() == []


EDGES = st.lists(st.floats(-1e30, 1e30) | st.sampled_from([0.1, 0.5, 1.0, 1e-45, 1e39]), max_size=44, unique=True)
DTYPES = (np.float16, np.float32, np.float64, np.int64, np.int8, np.uint8, np.bool_)


@st.composite
def columns(draw: st.DrawFn) -> tuple[np.ndarray, list[float]]:
    """Values of a datatype with edges, many of them on one, next to one, missing or infinite."""
    edges, dtype = sorted(draw(EDGES)), np.dtype(draw(st.sampled_from(DTYPES)))
    kind = dtype.kind
    if kind != "f":
        return draw(arrays(dtype, st.integers(0, 60))), sorted({*edges, *draw(st.sets(st.integers(-99, 99)))})
    with np.errstate(over="ignore"):
        near = np.array([*edges, np.nan, np.inf, -np.inf, -0.0]).astype(dtype)
    near = np.concatenate([near, np.nextafter(near, dtype.type(np.inf)), np.nextafter(near, dtype.type(-np.inf))])
    width: Any = 8 * dtype.itemsize
    elements = st.sampled_from(near.tolist()) | st.floats(width=width)
    return draw(arrays(dtype, st.integers(0, 60), elements=elements)), edges


@settings(deadline=None)
@given(columns())
def test_values_lie_in_the_bins_where_pandas_and_numpy_put_each_of_them(drawn: tuple[np.ndarray, list[float]]) -> None:
    values, edges = drawn
    exact = values.astype(np.float64)
    present = exact[~np.isnan(exact)]
    bins = np.digitize(present, edges, right=True)
    cut = pd.cut(present[np.isfinite(present)], [-np.inf, *edges, np.inf], labels=False)
    assert bins[np.isfinite(present)].tolist() == cut.tolist()
    counts = np.bincount(bins, minlength=len(edges) + 1).tolist()
    assert count_in_bins(values, edges).tolist() == counts
    assert count_with_missing(values, tuple(edges)).tolist() == [*counts, len(values) - len(present)]


@given(st.integers(0, 2**32), st.integers(1, 44), st.sampled_from([np.float32, np.float64]))
def test_values_together_lie_where_they_lie_apart(seed: int, bins: int, dtype: type) -> None:
    generator = np.random.default_rng(seed)
    edges = np.unique(generator.normal(size=bins).round(1))
    values: np.ndarray = generator.normal(size=5000).round(1).astype(dtype)
    values[:3] = np.inf, -np.inf, np.nan
    before = values.copy()
    together = count_in_bins(values, edges)
    apart = np.sum([count_in_bins(part, edges) for part in np.array_split(values, 9)], axis=0)
    assert together.tolist() == apart.tolist()
    assert values.tobytes() == before.tobytes(), "what is counted stays as it is"
