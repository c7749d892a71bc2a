"""The bootstrap: confidence intervals of metrics, from rows that are drawn again with replacement a thousand times.

All measures of one call are taken on the same resamples, so that two models' figures can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from onnxlet.toolchain.workbench.metrics import Measures, point_estimates
from onnxlet.values.contract import Estimate
from onnxlet.values.tensors import Tensor

RESAMPLES = 1000
FEWEST_ROWS = 20
"""Fewer rows get no intervals."""
MOST_DRAWN = 2 * 10**7
"""The most rows drawn in all. Many rows get fewer resamples, as their intervals are narrow."""
DRAWN_AT_ONCE = 10**6
SEED = 0
_INTERVAL = (2.5, 97.5)


def estimate_metrics(
    rows: int, measures: Mapping[str, Measures | None], *, resamples: int = RESAMPLES
) -> dict[str, dict[str, Estimate]]:
    """Estimate every metric, with its 95 % interval if there are at least FEWEST_ROWS rows; by stage and name.

    `measures` compute metrics from weights [rows, resamples]. A stage without measures and metrics that are
    undefined are left out.
    """
    defined = {stage: measure for stage, measure in measures.items() if measure is not None}
    known = {stage: point_estimates(measure, rows) for stage, measure in defined.items()}
    drawn: dict[str, dict[str, list[Tensor]]] = {stage: {name: [] for name in known[stage]} for stage in defined}
    for weights in draw_resamples(rows, resamples) if rows >= FEWEST_ROWS else ():
        for stage, measure in defined.items():
            for name, values in measure(weights).items():
                if name in known[stage]:
                    drawn[stage][name].append(values)
    return {
        stage: {name: _estimate(value, drawn[stage][name]) for name, value in known[stage].items()} for stage in defined
    }


def draw_resamples(rows: int, resamples: int) -> Iterator[Tensor]:
    """Weights [rows, some resamples] that count how often each row was drawn; always the same ones."""
    random = np.random.default_rng(SEED)
    left = min(resamples, max(100, MOST_DRAWN // rows))
    while left > 0:
        count = min(left, max(1, DRAWN_AT_ONCE // rows))
        drawn = random.integers(0, rows, (rows, count)) * count + np.arange(count)
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float32)
        left -= count


def _estimate(value: float, drawn: list[Tensor]) -> Estimate:
    finite = np.concatenate(drawn) if drawn else np.empty(0)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return Estimate(value)
    low, high = np.percentile(finite, _INTERVAL)
    return Estimate(value, float(low), float(high))
