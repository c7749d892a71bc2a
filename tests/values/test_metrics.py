"""Which way a metric is better."""

from __future__ import annotations

import math

import pytest

from onnxlet.values.metrics import badness


@pytest.mark.parametrize(
    ("name", "best", "worst"),
    [("accuracy", 0.9, 0.1), ("auc_stage", 0.9, 0.1), ("r2", 0.5, -3.0), ("rmse", 0.1, 2.0), ("mae_stage", 0.1, 2.0)],
)
def test_the_best_comes_first_and_what_has_no_figure_last(name: str, best: float, worst: float) -> None:
    versions: list[dict[str, float]] = [{}, {name: worst}, {name: math.nan}, {name: best}]
    ranked = sorted(versions, key=lambda metrics: badness(metrics, name))
    assert ranked[:2] == [{name: best}, {name: worst}]
