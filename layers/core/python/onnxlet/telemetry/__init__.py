"""Telemetry: what a request leaves behind, and what becomes of it once the answer is on its way.

recording     observations and events, which a request only appends, and the telemetry that gathers them
metrics       the table of metrics: names, units, meaning
tallies       observations folded into counts, times and outcomes, by model, version and alias
embedded      tallies as CloudWatch reads them in a log: the embedded metric format
request_log   one line of JSON for each request
background    a thread that folds and flushes, where a process goes on between requests
extension     Lambda: the internal extension that folds and writes after the answer
runtime_api   Lambda: what the extension says to Lambda's own API
shutdown      Lambda: SIGTERM writes what is left
on_lambda     all of it put together for a function

A cold start imports this module and `recording`, on Lambda also what registers the extension. No line ever holds a
value of a prediction's input or output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

MODEL = "model"
VERSION = "version"
ALIAS = "alias"
DIGEST = "digest"
"""Names of fields in logs."""

REQUESTS = "Requests"
ERRORS = "Errors"
COLD_STARTS = "ColdStarts"
ROWS = "Rows"
REQUEST_BYTES = "RequestBytes"
RESPONSE_BYTES = "ResponseBytes"
STALE = "Stale"
FALLBACK = "Fallback"
ABSTENTIONS = "Abstentions"
FLAGS = "Flags"
MISSING = "MissingInputs"
OUT_OF_RANGE = "OutOfRangeInputs"
LOAD_FAILURE = "LoadFailure"
EVICTION = "Eviction"
CAPTURED_ROWS = "CapturedRows"
UNCAPTURED_ROWS = "UncapturedRows"
UNSKETCHED_ROWS = "UnsketchedRows"
TOTAL_TIME = "TotalTime"
RUN_TIME = "RunTime"
FETCH_TIME = "FetchTime"
LOAD_TIME = "LoadTime"
PREDICTIONS = "Predictions"
DRIFT = "Drift"
DRIFTED_COLUMNS = "DriftedColumns"
QUALITY_FAULTS = "QualityFaults"
QUIET_DAYS = "QuietDays"
STALE_BASELINE = "StaleBaseline"
OPEN_ALARMS = "OpenAlarms"
WINDOWS = "Windows"
"""Names of metrics; `metrics` says what they mean."""


def log(name: str) -> logging.Logger:
    """The logger of a module. A cold start that goes well logs nothing, so the import waits until something is."""
    import logging

    return logging.getLogger(name)
