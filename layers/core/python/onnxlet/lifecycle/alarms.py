"""Alarms of a model in CloudWatch: which there would be, and putting them there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from onnxlet.errors import InvalidInputError, MissingExtraError, UnavailableError
from onnxlet.monitor.cloudwatch.template import ModelAlarm, dashboard_name, model_alarms, model_dashboard
from onnxlet.telemetry import DRIFTED_COLUMNS, REQUESTS
from onnxlet.telemetry.metrics import NAMESPACE

if TYPE_CHECKING:
    from onnxlet.lifecycle.workspace import Workspace

Outcome = Literal["created", "changed", "as it was"]
_MOST_NAMES = 100
"""What one question about alarms may name."""


class Functions(NamedTuple):
    """Lambda functions by their names: those that answer for a model, and those that compare its rows."""

    predict: tuple[str, ...]
    watch: tuple[str, ...]


class Applied(NamedTuple):
    """What became of each alarm, by name, and the dashboard."""

    alarms: dict[str, Outcome]
    dashboard: str


def find_functions(model: str, *, predict: Sequence[str], watch: Sequence[str]) -> Functions:
    """Those that are named, or that told metrics of the model within two weeks, as CloudWatch lists them.

    Raises InvalidInputError where none is found, MissingExtraError without boto3, UnavailableError as CloudWatch does.
    """
    found = Functions(
        tuple(predict) or _list_functions(model, REQUESTS),
        tuple(watch) or (() if predict else _list_functions(model, DRIFTED_COLUMNS)),
    )
    if not found.predict:
        raise InvalidInputError(
            f"no function told CloudWatch of {model!r} within two weeks: name the stack's with --function, "
            "its output PredictFunction",
            model=model,
        )
    return found


def apply_alarms(
    workspace: Workspace, model: str, functions: Functions, *, slow: float, topics: Sequence[str]
) -> Applied:
    """Put a model's alarms and its dashboard into CloudWatch; those that are there already are left as they are.

    Raises ModelNotFoundError, MissingExtraError, UnavailableError.
    """
    check_model(workspace, model)
    client = open_cloudwatch()
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    alarms = list(model_alarms(model, *functions, slow=slow, actions=topics))
    try:
        known = _read_alarms(client, alarms)
        outcomes = {alarm.name: _put(client, alarm, known.get(alarm.name)) for alarm in alarms}
        arns = [each["AlarmArn"] for each in _read_alarms(client, alarms).values()]
        body = model_dashboard(model, *functions, client.meta.region_name, arns)
        import msgspec

        client.put_dashboard(DashboardName=dashboard_name(model), DashboardBody=msgspec.json.encode(body).decode())
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"CloudWatch took not all alarms, apply them again: {error}") from error
    return Applied(outcomes, dashboard_name(model))


def check_model(workspace: Workspace, model: str) -> None:
    """Raises ModelNotFoundError."""
    from onnxlet.registry.reading.lookup import require_model

    with workspace.naming_others():
        require_model(workspace.open_store(), model)


def open_cloudwatch() -> Any:
    """CloudWatch in the account and region of the environment. Raises MissingExtraError without boto3."""
    try:
        import boto3
    except ImportError as error:
        raise MissingExtraError("CloudWatch is asked with boto3: pip install boto3") from error
    from botocore.exceptions import NoRegionError

    try:
        return boto3.client("cloudwatch")
    except NoRegionError as error:
        raise InvalidInputError("no AWS region is set: export AWS_REGION=eu-central-1, say") from error


def _list_functions(model: str, metric: str) -> tuple[str, ...]:
    client = open_cloudwatch()
    from botocore.exceptions import BotoCoreError, ClientError

    asked = [{"Name": "model", "Value": model}, {"Name": "function"}]
    try:
        pages = client.get_paginator("list_metrics").paginate(Namespace=NAMESPACE, MetricName=metric, Dimensions=asked)
        named = [
            {each["Name"]: each["Value"] for each in told["Dimensions"]} for page in pages for told in page["Metrics"]
        ]
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"CloudWatch does not tell which functions there are: {error}") from error
    return tuple(sorted({each["function"] for each in named}))


def _read_alarms(client: Any, alarms: Sequence[ModelAlarm]) -> dict[str, dict[str, Any]]:
    names = [alarm.name for alarm in alarms]
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(names), _MOST_NAMES):
        told = client.describe_alarms(AlarmNames=names[start : start + _MOST_NAMES])
        found.update({each["AlarmName"]: each for each in told["MetricAlarms"]})
    return found


def _put(client: Any, alarm: ModelAlarm, known: dict[str, Any] | None) -> Outcome:
    if known is not None and all(known.get(name) == value for name, value in alarm.request.items()):
        return "as it was"
    client.put_metric_alarm(**alarm.request)
    return "created" if known is None else "changed"
