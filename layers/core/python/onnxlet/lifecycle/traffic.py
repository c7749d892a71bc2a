"""What CloudWatch knows of a model's requests, day by day: counts, errors, percentiles of times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from onnxlet.errors import MissingExtraError, UnavailableError
from onnxlet.monitor.tensorboard.history import Traffic
from onnxlet.telemetry import COLD_STARTS, ERRORS, REQUESTS, TOTAL_TIME
from onnxlet.telemetry.metrics import NAMESPACE
from onnxlet.values.timestamps import utc_now

DAYS = 90
"""What is asked for; CloudWatch keeps hours for 455 days."""
_DAY_SECONDS = 86_400
_MOST_QUERIES = 500
"""What one question of CloudWatch's may hold."""
_SUMS = {"requests": REQUESTS, "errors": ERRORS, "cold_starts": COLD_STARTS}
PERCENTILES = ("p50", "p99")


class _Series(NamedTuple):
    """Whose metrics: the dimensions of one series."""

    function: str
    model: str
    version: str
    alias: str

    @property
    def dimensions(self) -> list[dict[str, str]]:
        return [{"Name": name, "Value": value} for name, value in self._asdict().items()]


class _Query(NamedTuple):
    series: _Series
    name: str
    metric: str
    statistic: str


def read_traffic(model: str, *, days: int = DAYS) -> dict[int, list[Traffic]]:
    """The days of each version, by number, as the account of the environment's credentials has them.

    CloudWatch lists series of the last two weeks. Raises MissingExtraError without boto3, UnavailableError where
    CloudWatch does not answer or refuses.
    """
    client = _open_client()
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    end = utc_now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    try:
        queries = list(_queries(_list_series(client, model)))
        told = {
            query: values
            for start in range(0, len(queries), _MOST_QUERIES)
            for query, values in _ask(client, queries[start : start + _MOST_QUERIES], end - timedelta(days=days), end)
        }
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"CloudWatch does not tell what was requested: {error}") from error
    return _by_version(told)


def _open_client() -> Any:
    try:
        import boto3
    except ImportError as error:
        raise MissingExtraError("CloudWatch is asked with boto3: pip install boto3") from error
    return boto3.client("cloudwatch")


def _list_series(client: Any, model: str) -> Iterator[_Series]:
    wanted = [{"Name": name} for name in _Series._fields if name != "model"]
    pages = client.get_paginator("list_metrics").paginate(
        Namespace=NAMESPACE, MetricName=REQUESTS, Dimensions=[{"Name": "model", "Value": model}, *wanted]
    )
    for page in pages:
        for metric in page["Metrics"]:
            found = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
            if found.keys() == set(_Series._fields) and found["version"].isdecimal():
                yield _Series(**found)


def _queries(listed: Iterator[_Series]) -> Iterator[_Query]:
    for series in sorted(set(listed)):
        for name, metric in _SUMS.items():
            yield _Query(series, name, metric, "Sum")
        for percentile in PERCENTILES:
            yield _Query(series, f"{percentile}/{series.function}/{series.alias}", TOTAL_TIME, percentile)


def _ask(
    client: Any, queries: Sequence[_Query], start: datetime, end: datetime
) -> Iterator[tuple[_Query, dict[str, float]]]:
    asked = [
        {
            "Id": f"q{place}",
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": query.metric,
                    "Dimensions": query.series.dimensions,
                },
                "Period": _DAY_SECONDS,
                "Stat": query.statistic,
            },
        }
        for place, query in enumerate(queries)
    ]
    found: dict[str, dict[str, float]] = defaultdict(dict)
    pages = client.get_paginator("get_metric_data").paginate(MetricDataQueries=asked, StartTime=start, EndTime=end)
    for page in pages:
        for result in page["MetricDataResults"]:
            days = (moment.strftime("%Y-%m-%d") for moment in result["Timestamps"])
            found[result["Id"]].update(zip(days, result["Values"], strict=True))
    for place, query in enumerate(queries):
        yield query, found[f"q{place}"]


def _by_version(told: Mapping[_Query, Mapping[str, float]]) -> dict[int, list[Traffic]]:
    sums: dict[tuple[int, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    latency: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    for query, values in told.items():
        for day, value in values.items():
            key = int(query.series.version), day
            if query.name in _SUMS:
                sums[key][query.name] += value
            else:
                latency[key][query.name] = value
    versions: dict[int, list[Traffic]] = defaultdict(list)
    for (version, day), counts in sorted(sums.items()):
        told_of_day = {name: counts[name] for name in _SUMS}
        versions[version].append(Traffic(day, **told_of_day, latency=latency[version, day]))
    return dict(versions)
