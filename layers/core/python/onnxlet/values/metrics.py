"""Metrics of a version: which ones tell how good what is served is, and which way is better."""

import math
from collections.abc import Mapping

from onnxlet.values.manifest import Draft

SMALLER_IS_BETTER = ("calibration_error", "mae", "rmse")


def served_metrics(draft: Draft) -> dict[str, float]:
    """The metrics of the graph that is served: those that its contract was judged by, else those last measured."""
    if draft.contract is not None and draft.contract.stages[-1:] and draft.contract.stages[-1].metrics:
        return {name: estimate.value for name, estimate in draft.contract.stages[-1].metrics.items()}
    measured = draft.evaluations[-1].metrics if draft.evaluations else {}
    return {name: value for name, value in measured.items() if not _is_distance(name)}


def metric_of_target(metric: str, target: str) -> str:
    """The name of a metric of one of several targets."""
    return f"{metric}_{target}" if target else metric


def badness(metrics: Mapping[str, float], name: str) -> float:
    """What to sort by, so that the best comes first and what has no such metric last."""
    if name not in metrics or math.isnan(metrics[name]):
        return math.inf
    return metrics[name] if name.startswith(SMALLER_IS_BETTER) else -metrics[name]


def _is_distance(name: str) -> bool:
    """Whether it says how far answers moved, which is not how good they are."""
    return "distance" in name or name == "label_agreement"
