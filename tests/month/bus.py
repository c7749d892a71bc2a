"""Who hears the events of the month: a rule of EventBridge's default bus that puts them into a queue of SQS."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import boto3

from onnxlet.monitor.alarms.events import SOURCE

RULE = "onnxlet-alarms"


class Heard(NamedTuple):
    """An alarm that opened (`found`) or closed (`over`) in the night after a day of the month."""

    night: int
    kind: str
    about: str
    state: str
    says: str


class Listener:
    """A queue of all events of ours."""

    def __init__(self) -> None:
        self._queues = boto3.client("sqs")
        self._url: str = self._queues.create_queue(QueueName=RULE)["QueueUrl"]
        asked = self._queues.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        events = boto3.client("events")
        events.put_rule(Name=RULE, EventPattern=json.dumps({"source": [SOURCE]}))
        events.put_targets(Rule=RULE, Targets=[{"Id": "queue", "Arn": asked["Attributes"]["QueueArn"]}])

    def hear(self, night: int) -> list[Heard]:
        """What came since the last time."""
        heard: list[Heard] = []
        while messages := self._queues.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                detail: dict[str, Any] = json.loads(message["Body"])["detail"]
                heard.append(Heard(night, detail["kind"], detail["about"], detail["state"], detail["says"]))
                self._queues.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return heard
