"""The metrics: each has a name in CloudWatch, one in Prometheus, a unit and a meaning.

Units are CloudWatch's. A time is told value by value, in milliseconds to CloudWatch and as a histogram in seconds to
Prometheus; everything else is a sum.
"""

from __future__ import annotations

from typing import NamedTuple

from onnxlet.telemetry import (
    ABSTENTIONS,
    CAPTURED_ROWS,
    COLD_STARTS,
    DRIFT,
    DRIFTED_COLUMNS,
    ERRORS,
    EVICTION,
    FALLBACK,
    FETCH_TIME,
    FLAGS,
    LOAD_FAILURE,
    LOAD_TIME,
    MISSING,
    OPEN_ALARMS,
    OUT_OF_RANGE,
    PREDICTIONS,
    QUALITY_FAULTS,
    QUIET_DAYS,
    REQUEST_BYTES,
    REQUESTS,
    RESPONSE_BYTES,
    ROWS,
    RUN_TIME,
    STALE,
    STALE_BASELINE,
    TOTAL_TIME,
    UNCAPTURED_ROWS,
    UNSKETCHED_ROWS,
    WINDOWS,
)

NAMESPACE = "Onnxlet"
COUNT, BYTES, MILLISECONDS, NONE = "Count", "Bytes", "Milliseconds", "None"

SCORES = {"ScoreP10": 0.1, "ScoreP50": 0.5, "ScoreP90": 0.9}
"""Quantiles of the probabilities of the answered labels."""


class Metric(NamedTuple):
    """One metric. `prometheus` is empty where the local server has none, or another one that tells the same."""

    name: str
    unit: str
    prometheus: str
    meaning: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric(REQUESTS, COUNT, "onnxlet_requests_total", "requests for predictions, refused ones included"),
        Metric(ERRORS, COUNT, "onnxlet_errors_total", "those that were answered with an error, also by `kind`"),
        Metric(COLD_STARTS, COUNT, "onnxlet_cold_starts_total", "first requests that a process answered"),
        Metric(ROWS, COUNT, "onnxlet_rows_total", "rows predicted"),
        Metric(REQUEST_BYTES, BYTES, "onnxlet_request_bytes_total", "bytes of their bodies, decompressed"),
        Metric(RESPONSE_BYTES, BYTES, "onnxlet_response_bytes_total", "bytes of their answers, as they were sent"),
        Metric(STALE, COUNT, "onnxlet_stale_total", "answers while the store did not answer"),
        Metric(FALLBACK, COUNT, "onnxlet_fallback_total", "answers of a version that stood in for a refused one"),
        Metric(ABSTENTIONS, COUNT, "onnxlet_abstentions_total", "rows that were left to a human"),
        Metric(FLAGS, COUNT, "onnxlet_flags_total", "rows that were flagged"),
        Metric(MISSING, COUNT, "onnxlet_missing_inputs_total", "values that rows lacked"),
        Metric(OUT_OF_RANGE, COUNT, "onnxlet_out_of_range_inputs_total", "values that were flagged, cut texts too"),
        Metric(LOAD_FAILURE, COUNT, "onnxlet_load_failures_total", "versions that were refused when they were loaded"),
        Metric(EVICTION, COUNT, "onnxlet_evictions_total", "models that left memory for others"),
        Metric(CAPTURED_ROWS, COUNT, "onnxlet_captured_rows_total", "rows written as their version's policy says"),
        Metric(
            UNCAPTURED_ROWS,
            COUNT,
            "onnxlet_uncaptured_rows_total",
            "rows that a policy would have captured, beyond its caps or because store or key did not answer",
        ),
        Metric(
            UNSKETCHED_ROWS,
            COUNT,
            "onnxlet_unsketched_rows_total",
            "rows of versions with a baseline that no sketch counts: fewer than 20 when day or process ended, or of a "
            "file or its last section; versions beyond 32; or the store did not answer",
        ),
        Metric(TOTAL_TIME, MILLISECONDS, "onnxlet_total_seconds", "from a request's last byte to its answer"),
        Metric(RUN_TIME, MILLISECONDS, "onnxlet_run_seconds", "the model and its steps"),
        Metric(FETCH_TIME, MILLISECONDS, "onnxlet_fetch_seconds", "fetching a version's artifacts"),
        Metric(LOAD_TIME, MILLISECONDS, "onnxlet_load_seconds", "loading them, golden cases included"),
        Metric(PREDICTIONS, COUNT, "onnxlet_predictions_total", "rows by `output` and the `class` told"),
        *(
            Metric(name, NONE, "onnxlet_score", f"quantile {share:g} of the probabilities of the labels told")
            for name, share in SCORES.items()
        ),
        Metric(DRIFT, NONE, "", "the largest PSI of a column on the newest day that was compared"),
        Metric(DRIFTED_COLUMNS, COUNT, "", "columns that alarm on it"),
        Metric(
            QUALITY_FAULTS, COUNT, "", "checks of columns that more rows fail than did: missing, out of range, unknown"
        ),
        Metric(QUIET_DAYS, COUNT, "", "closed days since anybody asked"),
        Metric(STALE_BASELINE, COUNT, "", "1 while rows are counted in the bins of another baseline, else 0"),
        Metric(OPEN_ALARMS, COUNT, "", "alarms that are open, and neither acknowledged nor muted"),
        Metric(WINDOWS, COUNT, "", "windows of sketches that were merged"),
    )
}
