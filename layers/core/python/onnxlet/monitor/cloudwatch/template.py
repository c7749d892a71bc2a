"""The alarms of a model: by name, and as a CloudFormation template."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from onnxlet.monitor.cloudwatch.dashboard import MODEL_GRAPHS, dashboard_body
from onnxlet.monitor.cloudwatch.requests import Request, alarm_request
from onnxlet.monitor.cloudwatch.rules import FOUND, MODEL_RULES, Rule
from onnxlet.monitor.cloudwatch.watched import Told, watch_model

PREFIX = "onnxlet"


class ModelAlarm(NamedTuple):
    """One alarm of a model, and what CloudWatch is told of it, its name included."""

    rule: Rule
    request: Request

    @property
    def name(self) -> str:
        """`onnxlet/<function>/<model>/<kind>`."""
        name: str = self.request["AlarmName"]
        return name


def model_alarms(
    model: str, predict: Sequence[str], watch: Sequence[str], *, slow: float, actions: Sequence[Told] = ()
) -> Iterator[ModelAlarm]:
    """The alarms of a model, for each function that answers for it, and each that compares its rows.

    `slow` are milliseconds that the slowest of a hundred requests may take.
    """
    for rule in MODEL_RULES:
        threshold = slow if rule.kind == "slow" else rule.threshold
        for function in watch if rule.metric in FOUND else predict:
            request = alarm_request(rule._replace(threshold=threshold), watch_model(model, function), actions)
            name = f"{PREFIX}/{function}/{model}/{rule.kind}"
            yield ModelAlarm(rule, {"AlarmName": name, **request, "AlarmDescription": f"{model}: {rule.says}"})


def dashboard_name(model: str) -> str:
    """Letters, digits, `-` and `_`, as CloudWatch has it."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{PREFIX}-{model}")


def model_dashboard(
    model: str, predict: Sequence[str], watch: Sequence[str], region: Told, alarms: Sequence[Told] = ()
) -> dict[str, Any]:
    """The body of a model's dashboard."""
    found = [graph for graph in MODEL_GRAPHS if any(metric in FOUND for metric, _ in graph.lines)]
    asked = [graph for graph in MODEL_GRAPHS if graph not in found]
    drawn = [
        *((watch_model(model, function), asked) for function in predict),
        *((watch_model(model, function), found) for function in watch),
    ]
    return dashboard_body(drawn, region, alarms)


def model_template(
    model: str, predict: Sequence[str], watch: Sequence[str], *, slow: float, actions: Sequence[str] = ()
) -> dict[str, Any]:
    """A CloudFormation template of a model's alarms and its dashboard."""
    made = list(model_alarms(model, predict, watch, slow=slow, actions=actions))
    resources = {f"Alarm{place}": _resource("Alarm", each.request) for place, each in enumerate(made, start=1)}
    body = model_dashboard(model, predict, watch, "${AWS::Region}", [f"${{{name}.Arn}}" for name in resources])
    text = msgspec.json.encode(body).decode()
    board = {"DashboardName": dashboard_name(model), "DashboardBody": {"Fn::Sub": text}}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Alarms of the model {model}, and its dashboard",
        "Resources": {**resources, "Dashboard": _resource("Dashboard", board)},
    }


def _resource(kind: str, properties: Request) -> dict[str, Any]:
    return {"Type": f"AWS::CloudWatch::{kind}", "Properties": properties}
