"""Dashboards: graphs of metrics, as CloudWatch's "Dashboard body structure and syntax" has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from onnxlet.monitor.cloudwatch.watched import Told, Watched
from onnxlet.telemetry import (
    COLD_STARTS,
    DRIFTED_COLUMNS,
    ERRORS,
    FALLBACK,
    LOAD_FAILURE,
    OPEN_ALARMS,
    QUALITY_FAULTS,
    REQUESTS,
    ROWS,
    STALE,
    TOTAL_TIME,
)

Body = dict[str, Any]
_WIDTH, _HEIGHT = 12, 6
_ACROSS = 2


class Graph(NamedTuple):
    """Lines over time: metrics with their statistics."""

    title: str
    lines: tuple[tuple[str, str], ...]
    period: int = 300


MODEL_GRAPHS = (
    Graph("requests and errors", ((REQUESTS, "Sum"), (ERRORS, "Sum"), (COLD_STARTS, "Sum"))),
    Graph("milliseconds", ((TOTAL_TIME, "p50"), (TOTAL_TIME, "p99"))),
    Graph("rows", ((ROWS, "Sum"),)),
    Graph("refused versions", ((LOAD_FAILURE, "Sum"), (FALLBACK, "Sum"), (STALE, "Sum"))),
    Graph(
        "found by day", ((DRIFTED_COLUMNS, "Maximum"), (QUALITY_FAULTS, "Maximum"), (OPEN_ALARMS, "Maximum")), 86_400
    ),
)
FUNCTION_GRAPHS = (
    Graph("{name}: invocations and errors", (("Invocations", "Sum"), ("Errors", "Sum"), ("Throttles", "Sum"))),
    Graph("{name}: milliseconds", (("Duration", "p50"), ("Duration", "p99"))),
)
API_GRAPHS = (Graph("requests of the API", (("Count", "Sum"), ("4xx", "Sum"), ("5xx", "Sum"))),)
QUEUE_GRAPHS = (
    Graph(
        "{name}: messages, and the oldest's age",
        (("ApproximateNumberOfMessagesVisible", "Maximum"), ("ApproximateAgeOfOldestMessage", "Maximum")),
    ),
)


def dashboard_body(drawn: Sequence[tuple[Watched, Sequence[Graph]]], region: Told, alarms: Sequence[Told] = ()) -> Body:
    """All graphs of all that is watched, two beside each other, below the states of alarms (their ARNs)."""
    widgets: list[Body] = []
    if alarms:
        told = {"title": "alarms", "alarms": list(alarms)}
        widgets.append({"type": "alarm", "x": 0, "y": 0, "width": _WIDTH * _ACROSS, "height": 3, "properties": told})
    top = 3 if alarms else 0
    graphs = [(watched, graph) for watched, of_it in drawn for graph in of_it]
    for place, (watched, graph) in enumerate(graphs):
        widgets.append(
            {
                "type": "metric",
                "x": place % _ACROSS * _WIDTH,
                "y": top + place // _ACROSS * _HEIGHT,
                "width": _WIDTH,
                "height": _HEIGHT,
                "properties": _properties(watched, graph, region),
            }
        )
    return {"widgets": widgets}


def _properties(watched: Watched, graph: Graph, region: Told) -> Body:
    named = [part for pair in watched.dimensions for part in pair]
    metrics = [[watched.namespace, metric, *named, {"stat": statistic}] for metric, statistic in graph.lines]
    return {
        "title": graph.title.format(name=watched.name),
        "region": region,
        "period": graph.period,
        "view": "timeSeries",
        "metrics": metrics,
    }
