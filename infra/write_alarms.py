"""Write infra/alarms.yaml: the alarms of the stack's functions, API and queues, and their dashboard, from the table.

python infra/write_alarms.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from onnxlet.monitor.cloudwatch.dashboard import API_GRAPHS, FUNCTION_GRAPHS, QUEUE_GRAPHS, dashboard_body
from onnxlet.monitor.cloudwatch.requests import Request, alarm_request
from onnxlet.monitor.cloudwatch.rules import (
    API_RULES,
    DEAD_RULES,
    FUNCTION_RULES,
    LANDED_RULES,
    MACHINE_RULES,
    SCHEDULED_RULES,
    Rule,
)
from onnxlet.monitor.cloudwatch.watched import (
    Told,
    Watched,
    watch_api,
    watch_function,
    watch_queue,
    watch_state_machine,
)

PATH = Path(__file__).with_name("alarms.yaml")
HEAD = "# Written by infra/write_alarms.py from onnxlet.monitor.cloudwatch.rules.\n"
SLOW = {"Predict": "SlowHttp", "Api": "SlowHttp", "Score": "SlowScore", "Watch": "SlowWatch"}
"""Functions, and the parameter that says when one comes near its timeout."""
SCHEDULED = frozenset({"Watch"})
API, LANDED, MACHINE, DEAD = "HttpApi", "LandedFiles", "Scoring", "DeadLetters"
PARAMETERS: dict[str, Request] = {
    "TopicArn": {"Type": "String", "Default": ""},
    **{name: {"Type": "String", "Description": "The function's name"} for name in SLOW},
    API: {"Type": "String", "Description": "The API's id"},
    LANDED: {"Type": "String", "Description": "The name of the queue of files to score"},
    MACHINE: {"Type": "String", "Description": "The ARN of the state machine of large files"},
    DEAD: {"Type": "String", "Description": "The dead-letter queue's name"},
    "SlowHttp": {"Type": "Number", "Description": "Milliseconds, four fifths of what Predict and Api may take"},
    "SlowScore": {"Type": "Number", "Description": "Milliseconds, four fifths of what Score may take"},
    "SlowWatch": {"Type": "Number", "Description": "Milliseconds, four fifths of what Watch may take"},
}
TOLD = {"Fn::If": ["HasTopic", [{"Ref": "TopicArn"}], {"Ref": "AWS::NoValue"}]}


class _Plain(yaml.SafeDumper):
    """Without YAML's own anchors, which CloudFormation does not know."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - its base's signature
        """Whether a value is written out wherever it stands."""
        return True


def template() -> dict[str, Any]:
    """The nested stack."""
    alarms = {name: {"Type": "AWS::CloudWatch::Alarm", "Properties": request} for name, request in _alarms()}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "onnxlet's alarms and their dashboard. Alarms tell the topic if there is one, and show anyway.",
        "Parameters": PARAMETERS,
        "Conditions": {"HasTopic": {"Fn::Not": [{"Fn::Equals": [{"Ref": "TopicArn"}, ""]}]}},
        "Resources": {**alarms, "Dashboard": _dashboard(list(alarms))},
    }


def written() -> str:
    """It as YAML."""
    return HEAD + yaml.dump(template(), Dumper=_Plain, sort_keys=False, width=120)


def _alarms() -> Iterator[tuple[str, Request]]:
    for name, slow in SLOW.items():
        for rule in SCHEDULED_RULES if name in SCHEDULED else FUNCTION_RULES:
            threshold = {"Ref": slow} if rule.kind == "Duration" else None
            yield f"{name}{rule.kind}", _request(rule, watch_function(name, {"Ref": name}), threshold)
    yield from ((rule.kind, _request(rule, watch_api({"Ref": API}))) for rule in API_RULES)
    yield from ((rule.kind, _request(rule, watch_queue(LANDED, {"Ref": LANDED}))) for rule in LANDED_RULES)
    yield from ((rule.kind, _request(rule, watch_state_machine(MACHINE, {"Ref": MACHINE}))) for rule in MACHINE_RULES)
    yield from ((rule.kind, _request(rule, watch_queue(DEAD, {"Ref": DEAD}))) for rule in DEAD_RULES)


def _request(rule: Rule, watched: Watched, threshold: Told | None = None) -> Request:
    return {**alarm_request(rule, watched, threshold=threshold), "AlarmActions": TOLD, "OKActions": TOLD}


def _dashboard(alarms: list[str]) -> dict[str, Any]:
    drawn = [
        *((watch_function(name, f"${{{name}}}"), FUNCTION_GRAPHS) for name in SLOW),
        (watch_api(f"${{{API}}}"), API_GRAPHS),
        (watch_queue("files to score", f"${{{LANDED}}}"), QUEUE_GRAPHS),
        (watch_queue("dead letters", f"${{{DEAD}}}"), QUEUE_GRAPHS),
    ]
    body = dashboard_body(drawn, "${AWS::Region}", [f"${{{name}.Arn}}" for name in alarms])
    text = msgspec.json.encode(body).decode()
    named = {"DashboardName": {"Ref": "AWS::StackName"}, "DashboardBody": {"Fn::Sub": text}}
    return {"Type": "AWS::CloudWatch::Dashboard", "Properties": named}


def main(*, check: bool) -> int:
    """Write it, or say whether it differs."""
    if not check:
        PATH.write_text(written())
    elif PATH.read_text() != written():
        sys.stderr.write("infra/alarms.yaml is not what the table says: run python infra/write_alarms.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
