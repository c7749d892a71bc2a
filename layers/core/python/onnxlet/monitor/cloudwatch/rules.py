"""The table of alarms: a rule says when one is raised, whatever it watches. Another alarm is a line here."""

from __future__ import annotations

from typing import NamedTuple

from onnxlet.telemetry import (
    DRIFTED_COLUMNS,
    ERRORS,
    FALLBACK,
    LOAD_FAILURE,
    OPEN_ALARMS,
    QUALITY_FAULTS,
    REQUESTS,
    STALE,
    TOTAL_TIME,
)

SLOW_MILLISECONDS = 1000.0
"""What the slowest of a hundred requests of a model may take, unless told otherwise."""
PERIOD = 300
HOUR = 3600
DAY = 86_400


class Rule(NamedTuple):
    """When an alarm is raised: `statistic` of `metric` is above `threshold` in each of `periods` periods of seconds.

    With `over` it is hundredths of that metric. Without data nothing is wrong.
    """

    kind: str
    says: str
    metric: str
    threshold: float
    statistic: str = "Sum"
    over: str = ""
    periods: int = 1
    period: int = PERIOD


MODEL_RULES = (
    Rule(
        "errors", "more than one in a hundred requests are answered with an error", ERRORS, 1, over=REQUESTS, periods=2
    ),
    Rule("slow", "one in a hundred requests takes too long", TOTAL_TIME, SLOW_MILLISECONDS, statistic="p99", periods=2),
    Rule("golden", "a version was refused when it was loaded: a golden case failed, or a digest", LOAD_FAILURE, 0),
    Rule("fallback", "another version answers for one that was refused", FALLBACK, 0),
    Rule("stale", "answers while the store does not answer", STALE, 0, periods=2),
    Rule("drift", "columns differ from the baseline on two days in a row", DRIFTED_COLUMNS, 0, "Maximum", period=DAY),
    Rule("quality", "values are missing, out of range or unknown", QUALITY_FAULTS, 0, "Maximum", period=DAY),
    Rule("open", "the watch has alarms that nobody acknowledged or muted", OPEN_ALARMS, 0, "Maximum", period=3 * HOUR),
)
"""Of a model, in the metrics that functions write themselves."""

FOUND = frozenset({DRIFTED_COLUMNS, QUALITY_FAULTS, OPEN_ALARMS})
"""Metrics that the function writes which compares rows, and not the one that answers."""

FUNCTION_RULES = (
    Rule("Errors", "More than one in a hundred invocations of {name} fail", "Errors", 1, over="Invocations", periods=2),
    Rule("Throttles", "{name} is being throttled", "Throttles", 0),
    Rule("Duration", "{name} comes near its timeout", "Duration", 0, statistic="p99", periods=2),
)
"""Of a Lambda function, in Lambda's metrics; the threshold of its duration is the stack's to say."""

SCHEDULED_RULES = (
    # asked once an hour, it never fails in two periods in a row
    Rule("Errors", "A run of {name} failed", "Errors", 0, period=HOUR),
    *(rule for rule in FUNCTION_RULES if rule.kind != "Errors"),
)
"""Of a Lambda function that a schedule invokes."""

API_RULES = (Rule("ApiServerErrors", "The API answers with server errors", "5xx", 5, periods=2),)
LANDED_RULES = (
    # beyond an hour not even a file that was tried twice is still in its turn: each try hides it for half an hour
    Rule(
        "FilesWaitTooLong",
        "A batch file has waited for more than an hour",
        "ApproximateAgeOfOldestMessage",
        3600,
        "Maximum",
    ),
)
MACHINE_RULES = (Rule("LargeFilesNotScored", "A large file could not be scored", "ExecutionsFailed", 0),)
DEAD_RULES = (
    Rule(
        "DeadLettersWaiting",
        "A batch file could not be scored and waits in the dead-letter queue",
        "ApproximateNumberOfMessagesVisible",
        0,
        "Maximum",
    ),
)
