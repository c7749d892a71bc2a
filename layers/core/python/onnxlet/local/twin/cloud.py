"""What a template asks of AWS, made on a server that plays it: bucket, queues, rules, state machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3

from onnxlet.local.twin.wiring import Wiring

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
_ROLE = "arn:aws:iam::123456789012:role/scoring"
RETRY_AFTER = 10
"""Seconds: the half an hour after which the template has a message tried again is nothing to wait for."""


class Cloud:
    """The server at `endpoint`, its bucket, and its queues by their names in the template.

    `retry_after` are the seconds after which what failed is tried again, at most.
    """

    def __init__(self, endpoint: str, bucket: str, *, retry_after: int = RETRY_AFTER) -> None:
        self.endpoint = endpoint
        self.bucket = bucket
        self.retry_after = retry_after
        self.queues: dict[str, str] = {}
        """The URL of each queue."""
        self.machines: dict[str, str] = {}
        """The ARN of each state machine, by the stack that it comes in."""

    @property
    def store(self) -> str:
        """The store's URL."""
        return f"s3://{self.bucket}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells AWS's tools and this package to ask here, and nowhere else."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, **CREDENTIALS}

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """A client of a service."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def build(self, wiring: Wiring) -> None:
        """Make the bucket, the queues, the rules and the state machines."""
        storage = self.client("s3")
        storage.create_bucket(Bucket=self.bucket)
        storage.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        storage.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        arns = self._make_queues(wiring)
        events = self.client("events")
        for rule in wiring.rules:
            events.put_rule(Name=rule.name, EventPattern=json.dumps(rule.pattern))
            targets = [{"Id": name, "Arn": arns[name]} for name in rule.queues if name in arns]
            events.put_targets(Rule=rule.name, Targets=targets)
        machines = self.client("stepfunctions")
        for machine in wiring.machines:
            made = machines.create_state_machine(
                name=machine.name, definition=json.dumps(machine.definition), roleArn=_ROLE
            )
            self.machines[machine.stack] = made["stateMachineArn"]

    def _make_queues(self, wiring: Wiring) -> dict[str, str]:
        """ARNs of the queues: those of dead letters first, which the others name."""
        service = self.client("sqs")
        arns: dict[str, str] = {}
        for queue in sorted(wiring.queues, key=lambda queue: queue.dead_letters is not None):
            attributes = {"VisibilityTimeout": str(queue.visibility)}
            if queue.dead_letters is not None:
                redrive = {"deadLetterTargetArn": arns[queue.dead_letters], "maxReceiveCount": queue.tries}
                attributes["RedrivePolicy"] = json.dumps(redrive)
            url = service.create_queue(QueueName=queue.queue_name, Attributes=attributes)["QueueUrl"]
            self.queues[queue.name] = url
            told = service.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            arns[queue.name] = told["Attributes"]["QueueArn"]
        return arns
