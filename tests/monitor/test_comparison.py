"""Windows beside the baseline: what has drifted is found, what has not raises no alarm."""

from itertools import pairwise

import numpy as np

from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.comparison import Comparison, alarming, compare
from onnxlet.monitor.sketch import Sketch
from onnxlet.values.tensors import Tensors

COLUMNS = 12
WARDS = ["north", "south", "east", "west"]


def rows(generator: np.random.Generator, count: int, *, shift: float = 0.0, shares: tuple[float, ...] = ()) -> Tensors:
    numbers = {f"c{place}": generator.normal(size=count).astype(np.float32) for place in range(COLUMNS)}
    numbers["c3"] += np.float32(shift)
    wards = generator.choice(WARDS, count, p=shares or (0.4, 0.3, 0.2, 0.1))
    return {**numbers, "ward": np.array(wards.tolist(), dtype=object)}


def window(sketch: Sketch, inputs: Tensors) -> Comparison:
    fresh = Sketch(sketch.baseline)
    fresh.fold(inputs, {})
    return compare(fresh)


def compare_with(before: Tensors, now: Tensors) -> Comparison:
    return window(Sketch(draw_baseline(before)), now)


def test_two_windows_in_a_row_tell_a_drift_and_name_the_column() -> None:
    generator = np.random.default_rng(0)
    sketch = Sketch(draw_baseline(rows(generator, 10_000)))
    windows = [window(sketch, rows(generator, 1_000, shift=shift)) for shift in (0, 0, 0.3, 0.3)]
    found = [[drift.name for drift in alarming(before.differing(), now)] for before, now in pairwise(windows)]
    assert found == [[], [], ["c3"]]


def test_other_shares_of_categories_are_found() -> None:
    generator = np.random.default_rng(1)
    sketch = Sketch(draw_baseline(rows(generator, 10_000)))
    windows = [window(sketch, rows(generator, 1_000, shares=(0.2, 0.3, 0.2, 0.3))) for _ in range(2)]
    found = alarming(windows[0].differing(), windows[1])
    assert [(drift.name, drift.test) for drift in found] == [("ward", "chi-square")]


def test_a_column_that_is_suddenly_missing_is_found() -> None:
    generator = np.random.default_rng(2)
    sketch = Sketch(draw_baseline(rows(generator, 10_000)))
    gone = [rows(generator, 500) for _ in range(2)]
    for inputs in gone:
        inputs["c7"][::3] = np.nan
    before, now = (window(sketch, inputs) for inputs in gone)
    found = alarming(before.differing(), now)
    assert [(drift.name, drift.test, drift.missing) for drift in found] == [("c7", "missing", 167)]


def test_columns_that_are_constant_stay_quiet_until_they_change() -> None:
    def constant(count: int, number: float, text: str) -> Tensors:
        return {"dose": np.full(count, number), "ward": np.array([text] * count, dtype=object)}

    sketch = Sketch(draw_baseline(constant(2_000, 3.0, "north")))
    windows = [window(sketch, constant(300, *day)) for day in ((3.0, "north"),) * 3 + ((3.5, "south"),) * 2]
    found = [[drift.name for drift in alarming(before.differing(), now)] for before, now in pairwise(windows)]
    assert found == [[], [], [], ["dose", "ward"]]
    assert all(drift.p == 1 and drift.psi < 0.001 for drift in windows[0].columns)


def test_a_trifle_in_very_many_rows_is_significant_and_no_alarm() -> None:
    generator = np.random.default_rng(3)
    sketch = Sketch(draw_baseline({"age": generator.normal(size=200_000)}))
    windows = [window(sketch, {"age": generator.normal(0.03, 1, 200_000)}) for _ in range(2)]
    assert windows[-1].columns[0].adjusted < 0.001
    assert not alarming(windows[0].differing(), windows[1])


def test_months_without_drift_stay_within_the_budget_of_false_alarms() -> None:
    generator = np.random.default_rng(4)
    alarmed = 0
    for _ in range(6):  # of which 5 % make 0.3; whole months by the hundred are those of docs/drift.md
        sketch = Sketch(draw_baseline(rows(generator, 2_000)))
        windows = [window(sketch, rows(generator, 200)) for _ in range(30)]
        alarmed += any(alarming(before.differing(), now) for before, now in pairwise(windows))
    assert alarmed == 0


def test_values_that_came_often_by_chance_are_no_drift_when_they_come_less_often() -> None:
    """Large windows know how often a value comes; the baseline, by which values were chosen, does not."""
    generator = np.random.default_rng(5)
    differing = 0
    for _ in range(60):
        before, now = (
            {"code": np.array([f"c{number}" for number in generator.integers(0, 25, count)], dtype=object)}
            for count in (1_000, 10_000)
        )
        differing += compare_with(before, now).columns[0].p < 0.05
    assert differing <= 8  # 5 %, and three standard errors; 14 where one half chose and was compared with


def test_a_window_without_rows_tells_nothing() -> None:
    assert compare(Sketch(draw_baseline({"age": np.arange(100.0)}))).columns == ()
