"""Values that rows lack are counted by model, version and alias, whichever datatype says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onnxlet.telemetry.recording import Observation, Prediction
from onnxlet.telemetry.tallies import MOST_VALUES, Series, Tallies

OUTPUTS = {"score": np.zeros((2, 1), dtype=np.float32)}


def observed(inputs: dict[str, np.ndarray[Any, Any]], alias: str | None = "production") -> Observation:
    model = SimpleNamespace(tells=(), steps=SimpleNamespace(targets=()))
    served: Any = SimpleNamespace(model=model, version=3, alias=alias, stale=False, fallback=False)
    given = Prediction("columns", inputs, OUTPUTS, 0.0)
    return Observation(1.0, "id", "", "diagnosis", served, given, 200, None, 0, 0, 0.0)


def missing(*records: Observation) -> dict[Series, float]:
    tallies = Tallies()
    tallies.fold(records)
    return {series: tally.counts.get("MissingInputs", 0) for series, tally in tallies.take().items()}


@pytest.mark.parametrize(
    ("values", "count"),
    [
        (np.array([[1.0, np.nan], [np.nan, 2.0]], dtype=np.float32), 2),
        (np.array([np.nan, 1.0], dtype=np.float16), 1),
        (np.array(["a", "", None, float("nan"), b"", b"x"], dtype=object), 4),
        (np.array(["a", ""]), 1),
        (np.array([b"", b"b"]), 1),
        (np.array([1, 2]), 0),
        (np.array([True, False]), 0),
        (np.array(np.nan), 1),
        (np.full((1, MOST_VALUES + 1), np.nan, dtype=np.float32), 0),
        (np.empty((0, 3), dtype=np.float32), 0),
    ],
)
def test_what_is_missing_is_counted(values: np.ndarray[Any, Any], count: int) -> None:
    assert missing(observed({"x": values})) == {Series("diagnosis", "3", "production"): count}


def test_each_alias_has_its_own_and_other_columns_stay_apart() -> None:
    numbers, texts = np.array([np.nan, 1.0]), np.array(["", ""], dtype=object)
    counted = missing(observed({"x": numbers}), observed({"y": texts}), observed({"x": numbers}, None))
    assert counted == {Series("diagnosis", "3", "production"): 3, Series("diagnosis", "3", "-"): 1}


@given(st.lists(arrays.arrays(np.float64, arrays.array_shapes(max_dims=2, max_side=4)), max_size=4))
def test_many_requests_miss_as_much_as_each_of_them(tensors: list[np.ndarray[Any, Any]]) -> None:
    alone = sum(sum(missing(observed({"x": tensor})).values()) for tensor in tensors)
    assert sum(missing(*(observed({"x": tensor}) for tensor in tensors)).values()) == alone
