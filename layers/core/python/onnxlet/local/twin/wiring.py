"""template.yaml → what it wires: queues, rules that fill them, functions that empty them or run by the clock, state
machines that call functions, and alarms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from onnxlet.local.twin.template import Template

if TYPE_CHECKING:
    from collections.abc import Iterator


class Queue(NamedTuple):
    """A queue: its logical id and its name, seconds that a message is hidden while it is worked on, and where it goes
    after so many tries.
    """

    name: str
    queue_name: str
    visibility: int
    dead_letters: str | None
    tries: int


class Rule(NamedTuple):
    """An event pattern of EventBridge, and the names of the queues that it fills."""

    name: str
    pattern: Mapping[str, Any]
    queues: Sequence[str]


@dataclass(frozen=True, slots=True)
class Function:
    """A function: the folder of its code, memory in MB, timeout in seconds, environment, and what calls it.

    That is a `queue`, by so many messages and by so many processes at once, or a `schedule`, every so many seconds, or
    nothing but a state machine.
    """

    name: str
    folder: Path
    memory: int
    timeout: int
    environment: Mapping[str, str]
    queue: str | None = None
    messages: int = 1
    at_once: int = 1
    reports_failures: bool = False
    schedule: float | None = None


class Machine(NamedTuple):
    """A state machine: the stack that it comes in, its name, its definition, and the functions that this calls."""

    stack: str
    name: str
    definition: Mapping[str, Any]
    functions: Sequence[str]


class Alarm(NamedTuple):
    """An alarm, and what it looks at: a metric of AWS's, of a queue or a state machine."""

    name: str
    metric: str
    subjects: Sequence[str]


@dataclass(frozen=True, slots=True)
class Wiring:
    """All that the twin plays, each by its logical id."""

    queues: Sequence[Queue]
    rules: Sequence[Rule]
    functions: Sequence[Function]
    machines: Sequence[Machine]
    alarms: Sequence[Alarm]

    def variables(self, function: str) -> Mapping[str, str]:
        """The environment of a function."""
        return next(each.environment for each in self.functions if each.name == function)

    def alarm(self, metric: str, subject: str | None) -> str:
        """What to say of the alarm that this would raise on AWS; nothing if there is none."""
        names = [alarm.name for alarm in self.alarms if alarm.metric == metric and subject in alarm.subjects]
        return f"; on AWS this raises the alarm {names[0]}" if names else ""


def read_wiring(path: Path, bucket: str, parameters: Mapping[str, str] | None = None) -> Wiring:
    """The wiring of a template whose bucket is called `bucket`, with these values of parameters.

    Raises InvalidInputError if there is none, or a parameter that it does not have.
    """
    storage = {"Storage.Outputs.BucketName": bucket, "Storage.Outputs.BucketArn": f"arn:aws:s3:::{bucket}"}
    template = Template(path, parameters or {}, storage)
    nested = template.nested()
    return Wiring(
        [_queue(name, properties) for name, properties in template.resources("AWS::SQS::Queue")],
        [_rule(name, properties) for name, properties in template.resources("AWS::Events::Rule")],
        [_function(name, properties, template) for name, properties in template.resources("AWS::Serverless::Function")],
        [machine for name, stack in nested for machine in _machines(name, stack)],
        [alarm for _, stack in nested for alarm in _alarms(stack)],
    )


def _queue(name: str, properties: Mapping[str, Any]) -> Queue:
    redrive = properties.get("RedrivePolicy", {})
    return Queue(
        name,
        properties.get("QueueName", name),
        int(properties.get("VisibilityTimeout", 30)),
        redrive.get("deadLetterTargetArn"),
        int(redrive.get("maxReceiveCount", 0)),
    )


def _rule(name: str, properties: Mapping[str, Any]) -> Rule:
    return Rule(name, properties.get("EventPattern", {}), [target["Arn"] for target in properties["Targets"]])


def _function(name: str, properties: Mapping[str, Any], template: Template) -> Function:
    merged = {**template.defaults, **properties}
    variables = {
        **template.defaults.get("Environment", {}).get("Variables", {}),
        **properties.get("Environment", {}).get("Variables", {}),
    }
    queue = schedule = None
    messages = at_once = 1
    reports = False
    for event in properties.get("Events", {}).values():
        details = event["Properties"]
        if event["Type"] == "SQS":
            queue, messages = details["Queue"], int(details.get("BatchSize", 10))
            at_once = int(details.get("ScalingConfig", {}).get("MaximumConcurrency", 1))
            reports = "ReportBatchItemFailures" in details.get("FunctionResponseTypes", [])
        elif event["Type"] == "ScheduleV2":
            schedule = _seconds(str(details["ScheduleExpression"]))
    return Function(
        name,
        template.folder / merged["CodeUri"],
        int(merged.get("MemorySize", 128)),
        int(merged.get("Timeout", 3)),
        {variable: str(value) for variable, value in variables.items()},
        queue,
        messages,
        at_once,
        reports,
        schedule,
    )


_UNITS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}


def _seconds(expression: str) -> float:
    """Seconds between two runs: those of `rate(5 minutes)`; a day where a clock decides, `cron(…)`."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    return _UNITS["day"] if rate is None else int(rate[1]) * _UNITS[rate[2]]


def _machines(stack: str, template: Template) -> Iterator[Machine]:
    for _, properties in template.resources("AWS::Serverless::StateMachine"):
        text = (template.folder / properties["DefinitionUri"]).read_text()
        substitutions = properties["DefinitionSubstitutions"]
        for variable, function in substitutions.items():
            text = text.replace(f"${{{variable}}}", function)
        yield Machine(stack, properties["Name"], json.loads(text), list(substitutions.values()))


def _alarms(template: Template) -> Iterator[Alarm]:
    for name, properties in template.resources("AWS::CloudWatch::Alarm"):
        subjects = [dimension["Value"] for dimension in properties.get("Dimensions", [])]
        yield Alarm(name, properties.get("MetricName", ""), subjects)
