"""Telemetry: the names of log fields and metrics, and metrics as CloudWatch's embedded metric format.

On Lambda a metric is one JSON line on standard output, which CloudWatch reads by itself; elsewhere it is a log record.
Neither ever holds a value of a prediction's input or output. Field names are the package's words; the format is
"Specification: CloudWatch embedded metric format" of the CloudWatch user guide.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

NAMESPACE = "Onnxlet"

MODEL = "model"
VERSION = "version"
ALIAS = "alias"
DIGEST = "digest"
REASON = "reason"

FETCH_TIME = "FetchTime"
LOAD_TIME = "LoadTime"
FALLBACK = "Fallback"
STALE = "Stale"
LOAD_FAILURE = "LoadFailure"
EVICTION = "Eviction"

_UNITS = {FETCH_TIME: "Milliseconds", LOAD_TIME: "Milliseconds"}
"""Everything else is a count."""


def log(name: str) -> logging.Logger:
    """The logger of a module. A cold start that goes well logs nothing, so the import waits until something is."""
    import logging

    return logging.getLogger(name)


class Telemetry:
    """Where metrics go: standard output of the Lambda function named, or the log when there is none."""

    def __init__(self, function_name: str) -> None:
        self._function_name = function_name

    def record(self, metrics: Mapping[str, float], **fields: str | int | None) -> None:
        """Record metrics of one event. `fields` describe it; the model is the metrics' dimension."""
        known = {name: value for name, value in fields.items() if value is not None}
        if not self._function_name:
            if "logging" in sys.modules:  # who has not loaded it has not asked for records like these
                log(__name__).info(", ".join(metrics), extra={**known, **metrics})
            return
        import time

        import msgspec

        definitions = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in metrics]
        line = {
            "_aws": {
                "Timestamp": int(time.time() * 1000),
                "CloudWatchMetrics": [
                    {"Namespace": NAMESPACE, "Dimensions": [["function", MODEL]], "Metrics": definitions}
                ],
            },
            "function": self._function_name,
            **known,
            **metrics,
        }
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        sys.stdout.flush()
