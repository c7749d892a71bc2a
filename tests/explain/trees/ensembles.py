"""Small ensembles of any shape, for hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from onnxlet.explain.trees.ensemble import NEQ, Ensemble
from onnxlet.values.tensors import Tensor

FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Their witness tries all coalitions."""
COLUMNS = 5
VALUES = (-1.0, 0.0, 0.5, 1.0, 2.0)


@st.composite
def ensembles(draw: st.DrawFn, *, modes: tuple[int, ...] = tuple(range(NEQ + 1))) -> Ensemble:
    """A few trees, each with its own shape; leaves of one output each, or of all of them."""
    outputs = draw(st.integers(1, 3))
    wide = draw(st.booleans())
    parts: dict[str, list[Any]] = {
        name: [] for name in ("columns", "thresholds", "modes", "missing_true", "shares", "children", "leaves")
    }
    roots, targets = [], []

    def grow(depth: int) -> int:
        if depth == 0 or (parts["columns"] and draw(st.integers(0, 3)) == 0):
            parts["leaves"].append([draw(st.integers(-8, 8)) for _ in range(outputs if wide else 1)])
            return ~(len(parts["leaves"]) - 1)
        return split(depth)

    def split(depth: int) -> int:
        number = len(parts["columns"])
        parts["columns"].append(draw(st.integers(0, COLUMNS - 1)))
        parts["thresholds"].append(draw(st.sampled_from(VALUES)))
        parts["modes"].append(draw(st.sampled_from(modes)))
        parts["missing_true"].append(draw(st.booleans()))
        parts["shares"].append(draw(st.sampled_from((0.0, 0.125, 0.5, 0.75, 1.0))))
        parts["children"].append([0, 0])
        parts["children"][number] = [grow(depth - 1), grow(depth - 1)]
        return number

    for _ in range(draw(st.integers(1, 3))):
        roots.append(split(draw(st.integers(1, 4))))
        targets.append(0 if wide else draw(st.integers(0, outputs - 1)))
    return Ensemble(
        columns=np.array(parts["columns"], dtype=np.int32),
        thresholds=np.array(parts["thresholds"], dtype=np.float32),
        modes=np.array(parts["modes"], dtype=np.uint8),
        missing_true=np.array(parts["missing_true"]),
        shares=np.array(parts["shares"]),
        children=np.array(parts["children"], dtype=np.int32),
        leaves=np.array(parts["leaves"], dtype=np.float64),
        roots=np.array(roots, dtype=np.int32),
        targets=np.array(targets, dtype=np.int32),
        base=np.arange(outputs, dtype=np.float64),
    )


def rows(count: int | None = None) -> st.SearchStrategy[Tensor]:
    """Rows of values that thresholds may have, some of them missing."""
    value = st.sampled_from((*VALUES, 3.0, np.nan))
    row = st.lists(value, min_size=COLUMNS, max_size=COLUMNS)
    least, most = (1, 4) if count is None else (count, count)
    return st.lists(row, min_size=least, max_size=most).map(lambda listed: np.array(listed, dtype=np.float32))


PLAYERS = st.sampled_from(([0, 1, 2, 3, 4], [0, 1, 1, 2, 0], [0, 0, 0, 0, 0]))
"""Whose each column is: everybody's own, or some that are together."""
