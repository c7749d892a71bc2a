"""A rule as CloudWatch takes it: the parameters of PutMetricAlarm, which CloudFormation's alarms have too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxlet.monitor.cloudwatch.rules import Rule
from onnxlet.monitor.cloudwatch.watched import Told, Watched

Request = dict[str, Any]
_PERCENTILE = "p"


def alarm_request(
    rule: Rule, watched: Watched, actions: Sequence[Told] = (), *, threshold: Told | None = None
) -> Request:
    """All but its name. `actions` are told when it is raised, and when it is over."""
    request: Request = {"AlarmDescription": rule.says.format(name=watched.name)}
    if rule.over:
        request["Metrics"] = _share(rule, watched)
    else:
        request |= {**metric_of(rule.metric, watched), **_statistic(rule.statistic), "Period": rule.period}
    request |= {
        "EvaluationPeriods": rule.periods,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": rule.threshold if threshold is None else threshold,
        "TreatMissingData": "notBreaching",
    }
    if actions:
        request |= {"AlarmActions": list(actions), "OKActions": list(actions)}
    return request


def metric_of(metric: str, watched: Watched) -> Request:
    """A metric, as requests name it."""
    dimensions = [{"Name": name, "Value": value} for name, value in watched.dimensions]
    return {"Namespace": watched.namespace, "MetricName": metric, "Dimensions": dimensions}


def _statistic(statistic: str) -> Request:
    return {"ExtendedStatistic" if statistic.startswith(_PERCENTILE) else "Statistic": statistic}


def _share(rule: Rule, watched: Watched) -> list[Request]:
    part, whole = rule.metric.lower(), rule.over.lower()
    return [
        {
            "Id": "percentage",
            "Expression": f"100 * {part} / MAX([{part}, {whole}])",
            "Label": f"{part} per hundred {whole}",
        },
        *(
            {
                "Id": name.lower(),
                "ReturnData": False,
                "MetricStat": {
                    "Metric": metric_of(name, watched),
                    "Period": rule.period,
                    "Stat": rule.statistic,
                },
            }
            for name in (rule.metric, rule.over)
        ),
    ]
