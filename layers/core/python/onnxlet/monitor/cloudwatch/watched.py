"""Whose metrics a rule is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from onnxlet.telemetry.metrics import NAMESPACE

Told = str | Mapping[str, object]
"""A text, or how CloudFormation finds it (`{"Ref": "Predict"}`)."""
LAMBDA, API_GATEWAY, QUEUES, STATES = "AWS/Lambda", "AWS/ApiGateway", "AWS/SQS", "AWS/States"


class Watched(NamedTuple):
    """What is watched: its `name` for people, the namespace of its metrics, and their dimensions in order."""

    name: str
    namespace: str
    dimensions: tuple[tuple[str, Told], ...]


def watch_model(model: str, function: Told) -> Watched:
    """What a function tells of a model."""
    return Watched(model, NAMESPACE, (("function", function), ("model", model)))


def watch_function(name: str, function: Told) -> Watched:
    """What Lambda tells of a function."""
    return Watched(name, LAMBDA, (("FunctionName", function),))


def watch_api(api: Told) -> Watched:
    """What API Gateway tells of an HTTP API."""
    return Watched("the API", API_GATEWAY, (("ApiId", api),))


def watch_queue(name: str, queue: Told) -> Watched:
    """What SQS tells of a queue."""
    return Watched(name, QUEUES, (("QueueName", queue),))


def watch_state_machine(name: str, machine: Told) -> Watched:
    """What Step Functions tells of a state machine."""
    return Watched(name, STATES, (("StateMachineArn", machine),))
