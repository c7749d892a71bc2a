"""The level of a window: drawn months without drift alarm as often as they may, and no more."""

from math import erfc, sqrt

import numpy as np
import pytest

from onnxlet.monitor.levels import BUDGET, LARGEST, share_of_budget, significance_level

random = np.random.default_rng(0)
MONTHS, WINDOWS = 20_000, 30


def alarming_months(level: float, columns: int, shared: float) -> float:
    """The share of drawn months in which a column is significant in two windows in a row; Bonferroni's part of Holm."""
    tails = np.array([erfc(place / 1000 / sqrt(2)) for place in range(10_000)])
    threshold = float(np.argmax(tails <= level / columns)) / 1000
    alarms = np.zeros(MONTHS, dtype=bool)
    for _ in range(columns):
        own = sqrt(1 - shared) * random.standard_normal((MONTHS, WINDOWS), dtype=np.float32)
        beyond = np.abs(own + sqrt(shared) * random.standard_normal((MONTHS, 1), dtype=np.float32)) > threshold
        alarms |= (beyond[:, 1:] & beyond[:, :-1]).any(axis=1)
    return float(alarms.mean())


@pytest.mark.parametrize("shared", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("columns", [1, 8])
def test_months_without_drift_alarm_as_often_as_the_budget_says(columns: int, shared: float) -> None:
    level = significance_level(columns, shared)
    alarms = alarming_months(level, columns, shared)
    assert alarms < 0.055
    assert alarms > 0.035 or level == LARGEST


def test_more_windows_and_a_smaller_budget_ask_for_more() -> None:
    assert significance_level(1, 0.5, windows=60) < significance_level(1, 0.5)
    assert significance_level(1, 0.5, budget=0.01) < significance_level(1, 0.5)


def test_whatever_the_sizes_there_is_a_level() -> None:
    for shared in (0.0, 1.0):
        for columns in (0, 1, 10_000):
            assert 0 < significance_level(columns, shared) <= LARGEST


def test_drift_and_quality_of_all_versions_spend_one_budget() -> None:
    for versions in (1, 2, 5):
        assert 2 * versions * share_of_budget(versions) == pytest.approx(BUDGET)
    assert share_of_budget(0) == share_of_budget(1)
