"""What a template asks of AWS, made on a server that plays it: a bucket, queues, and rules that fill them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3

from onnxlet.local.twin.template import Wiring

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
VISIBILITY = 10
"""Seconds after which a message that failed comes again; the template's half an hour is nothing to wait for."""


class Cloud:
    """The server at `endpoint`, its bucket, and its queues by their names in the template.

    A message that was handed over is hidden for as long as its queue says, at most for `visibility` seconds.
    """

    def __init__(self, endpoint: str, bucket: str, *, visibility: int = VISIBILITY) -> None:
        self.endpoint = endpoint
        self.bucket = bucket
        self._visibility = visibility
        self.queues: dict[str, str] = {}
        """The URL of each queue."""

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
        """Make the bucket, the queues and the rules."""
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

    def _make_queues(self, wiring: Wiring) -> dict[str, str]:
        """ARNs of the queues: those of dead letters first, which the others name."""
        service = self.client("sqs")
        arns: dict[str, str] = {}
        for queue in sorted(wiring.queues, key=lambda queue: queue.dead_letters is not None):
            attributes = {"VisibilityTimeout": str(min(queue.visibility, self._visibility))}
            if queue.dead_letters is not None:
                redrive = {"deadLetterTargetArn": arns[queue.dead_letters], "maxReceiveCount": queue.tries}
                attributes["RedrivePolicy"] = json.dumps(redrive)
            url = service.create_queue(QueueName=queue.name, Attributes=attributes)["QueueUrl"]
            self.queues[queue.name] = url
            told = service.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            arns[queue.name] = told["Attributes"]["QueueArn"]
        return arns
