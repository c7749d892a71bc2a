"""Splitting rows: every row in one part, a share of every stratum in each, groups whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlet.toolchain.workbench.splitting import split_rows, stratify

SEEDS = st.integers(0, 2**32 - 1)


@given(strata=st.lists(st.integers(0, 4), min_size=1, max_size=200), parts=st.integers(1, 6), seed=SEEDS)
def test_every_row_is_in_one_part_and_strata_are_shared_out_evenly(strata: list[int], parts: int, seed: int) -> None:
    kinds = np.array(strata)

    cut = split_rows(kinds, [1.0] * parts, seed=seed)

    assert sorted(np.concatenate(cut).tolist()) == list(range(len(kinds)))
    for kind in set(strata):
        counts = [int((kinds[part] == kind).sum()) for part in cut]
        assert max(counts) - min(counts) <= 1


@given(
    groups=st.lists(st.integers(0, 20), min_size=1, max_size=200), parts=st.integers(1, 6), seed=SEEDS, data=st.data()
)
def test_a_group_is_in_one_part_alone(groups: list[int], parts: int, seed: int, data: st.DataObject) -> None:
    size = len(groups)
    strata = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    names = np.array([f"patient {group}" for group in groups], dtype=object)

    cut = split_rows(strata, [1.0] * parts, seed=seed, groups=names)

    assert sorted(np.concatenate(cut).tolist()) == list(range(size))
    held = [set(names[part]) for part in cut]
    assert sum(len(each) for each in held) == len(set(names))
    if len(set(names)) >= parts:
        assert all(len(part) for part in cut)


@settings(deadline=None)
@given(seed=SEEDS)
def test_with_many_small_groups_parts_and_strata_are_nearly_even(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = random.integers(0, 150, 600)
    strata = (random.random(600) < 0.1).astype(int)

    choosing, judging = split_rows(strata, (0.5, 0.5), seed=seed, groups=groups)

    assert abs(len(choosing) - len(judging)) < 60
    assert abs(int(strata[choosing].sum()) - int(strata[judging].sum())) <= 12


def test_a_seed_gives_one_split_and_another_seed_another() -> None:
    strata = np.zeros(100, dtype=int)
    first, again, other = (split_rows(strata, (1, 1), seed=seed) for seed in (3, 3, 4))

    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_classes_are_strata_and_numbers_are_cut_at_quantiles() -> None:
    assert stratify(np.array(["b", "a", "b"], dtype=object)).tolist() == [1, 0, 1]
    assert stratify(np.array([[0, 1], [0, 0], [0, 1]])).tolist() == [1, 0, 1]
    assert np.bincount(stratify(np.random.default_rng(0).normal(size=100))).tolist() == [10] * 10
    assert set(stratify(np.array([1.0, 2.0])).tolist()) == {0}
