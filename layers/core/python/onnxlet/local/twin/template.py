"""template.yaml → what it wires: queues, rules that fill them, functions that empty them or run by the clock.

Read are the resources that the twin plays, in CloudFormation's own words and with its functions as far as those
resources use them: docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from onnxlet.errors import InvalidInputError

_NO_VALUE = object()
_REFERENCE = re.compile(r"\$\{([^!}][^}]*)\}")
_PSEUDO = {
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::StackName": "onnxlet",
    "AWS::NoValue": _NO_VALUE,
}


class Queue(NamedTuple):
    """A queue: seconds that a message is hidden while it is worked on, and where it goes after so many tries."""

    name: str
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

    That is a `queue`, by so many messages and by so many processes at once, or a `schedule`, every so many seconds.
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


class Wiring(NamedTuple):
    """All that the twin plays, each by its logical id."""

    queues: Sequence[Queue]
    rules: Sequence[Rule]
    functions: Sequence[Function]


def read_wiring(path: Path, bucket: str) -> Wiring:
    """The wiring of a template whose bucket is called `bucket`. Raises InvalidInputError if there is none."""
    try:
        document = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader with tags of its own
    except FileNotFoundError as error:
        raise InvalidInputError(
            f"there is no {path.name} here: the twin runs in a clone of the repository, whose template it plays"
        ) from error
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{path.name} is no YAML: {error}") from error
    template = _Template(document, bucket)
    queues = [_queue(name, properties) for name, properties in template.resources("AWS::SQS::Queue")]
    rules = [_rule(name, properties) for name, properties in template.resources("AWS::Events::Rule")]
    functions = [
        _function(name, properties, path.parent, template.defaults)
        for name, properties in template.resources("AWS::Serverless::Function")
    ]
    return Wiring(queues, rules, functions)


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, which become the long form: `!Ref x` → {"Ref": x}."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type] # there is no fourth kind
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


class _Template:
    """A template's resources, with its parameters' defaults in their places. A resource's ARN is its name here."""

    def __init__(self, document: Mapping[str, Any], bucket: str) -> None:
        self._resources = document["Resources"]
        self._conditions = document.get("Conditions", {})
        self._values = {
            **_PSEUDO,
            **{name: parameter.get("Default", "") for name, parameter in document.get("Parameters", {}).items()},
            "Storage.Outputs.BucketName": bucket,
            "Storage.Outputs.BucketArn": f"arn:aws:s3:::{bucket}",
        }
        self.defaults = self._resolve(document.get("Globals", {}).get("Function", {}))

    def resources(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Name and properties of each resource of a kind."""
        return [
            (name, self._resolve(resource.get("Properties", {})))
            for name, resource in self._resources.items()
            if resource["Type"] == kind and self._holds(resource.get("Condition"))
        ]

    def _resolve(self, node: Any) -> Any:  # noqa: ANN401 - any YAML
        if isinstance(node, list):
            return [value for value in map(self._resolve, node) if value is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), *_ = node.items()
            if name in self._functions:
                return self._functions[name](argument)
        resolved = ((name, self._resolve(value)) for name, value in node.items())
        return {name: value for name, value in resolved if value is not _NO_VALUE}

    @property
    def _functions(self) -> Mapping[str, Callable[[Any], Any]]:
        """CloudFormation's functions, those of conditions among them."""
        return {
            "Ref": lambda name: self._values.get(name, name),
            "Condition": self._holds,
            "Fn::GetAtt": lambda path: self._values.get(".".join(path), path[0]),
            "Fn::Sub": lambda text: _REFERENCE.sub(lambda found: str(self._values.get(found[1], found[1])), text),
            "Fn::Join": lambda arguments: arguments[0].join(map(str, self._as_list(arguments[1]))),
            "Fn::If": lambda arguments: self._resolve(arguments[1 if self._holds(arguments[0]) else 2]),
            "Fn::Equals": lambda sides: str(self._resolve(sides[0])) == str(self._resolve(sides[1])),
            "Fn::Not": lambda negated: not self._resolve(negated[0]),
            "Fn::And": lambda all_of: all(map(self._resolve, all_of)),
            "Fn::Or": lambda any_of: any(map(self._resolve, any_of)),
        }

    def _as_list(self, node: Any) -> list[Any]:  # noqa: ANN401 - any YAML
        """A list, or the elements of one that is written with commas."""
        resolved = self._resolve(node)
        return resolved if isinstance(resolved, list) else str(resolved).split(",")

    def _holds(self, condition: str | None) -> bool:
        """Whether the condition of this name holds; no name, no condition."""
        return condition is None or bool(self._resolve(self._conditions[condition]))


def _queue(name: str, properties: Mapping[str, Any]) -> Queue:
    redrive = properties.get("RedrivePolicy", {})
    return Queue(
        name,
        int(properties.get("VisibilityTimeout", 30)),
        redrive.get("deadLetterTargetArn"),
        int(redrive.get("maxReceiveCount", 0)),
    )


def _rule(name: str, properties: Mapping[str, Any]) -> Rule:
    return Rule(name, properties.get("EventPattern", {}), [target["Arn"] for target in properties["Targets"]])


def _function(name: str, properties: Mapping[str, Any], root: Path, defaults: Mapping[str, Any]) -> Function:
    merged = {**defaults, **properties}
    variables = {
        **defaults.get("Environment", {}).get("Variables", {}),
        **properties.get("Environment", {}).get("Variables", {}),
    }
    variables.pop("ONNXLET_STATE_MACHINE", None)  # none is played: one process scores each file whole
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
        root / merged["CodeUri"],
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
