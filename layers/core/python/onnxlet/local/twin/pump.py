"""What calls functions on AWS, played: the event source mapping that hands a queue's messages over, and the scheduler.

Messages that a function reports as failed, or all of them where it raises, stay in their queue, come again when their
time is over, and lie among the dead letters after as many tries as the queue allows; that part is the queue's own.
See docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any, Protocol

from onnxlet.errors import OnnxletError
from onnxlet.local.twin.cloud import REGION, Cloud
from onnxlet.local.twin.wiring import Function, Queue

INTERVAL = 0.2
"""Seconds between two looks into an empty queue."""

Say = Callable[[str], None]


class Invoker(Protocol):
    """A function that takes events."""

    def invoke(self, event: object) -> Any:  # noqa: ANN401 - any JSON
        """What it returns. Raises OnnxletError if it fails."""


def pump_messages(  # noqa: PLR0917 - what meets here
    cloud: Cloud, queue: Queue, function: Function, process: Invoker, over: Event, say: Say, alarm: str
) -> None:
    """Hand a queue's messages to a function until `over`; `say` what becomes of them, `alarm` of dead letters too."""
    service, url = cloud.client("sqs"), cloud.queues[queue.name]
    while not over.is_set():
        messages = service.receive_message(
            QueueUrl=url, MaxNumberOfMessages=function.messages, AttributeNames=["All"]
        ).get("Messages", [])
        if not messages:
            over.wait(INTERVAL)
            continue
        failed = _hand_over(function, process, messages, say)
        if over.is_set():
            return  # what was interrupted says nothing
        for message in messages:
            tries = int(message["Attributes"]["ApproximateReceiveCount"])
            if message["MessageId"] in failed and tries == queue.tries:
                say(f"{_describe(message)} goes to {queue.dead_letters} after {tries} tries{alarm}")
        for message in messages:
            named = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] not in failed:
                service.delete_message(**named)
            else:
                service.change_message_visibility(**named, VisibilityTimeout=min(queue.visibility, cloud.retry_after))


def run_on_schedule(function: Function, process: Invoker, over: Event, say: Say) -> None:
    """Call a function every so many seconds until `over`, the first time when they have passed once."""
    assert function.schedule is not None  # noqa: S101 - it is run so because it has one
    while not over.wait(function.schedule):
        call_scheduled(function, process, say)


def call_scheduled(function: Function, process: Invoker, say: Say) -> None:
    """Call a function as the scheduler does."""
    try:
        process.invoke({"version": "0", "source": "aws.scheduler", "time": datetime.now(UTC).isoformat()})
    except OnnxletError as error:
        say(f"{function.name} failed: {error.detail}")


def _hand_over(function: Function, process: Invoker, messages: Sequence[Mapping[str, Any]], say: Say) -> set[str]:
    """The ids of the messages that failed."""
    what = ", ".join(map(_describe, messages))
    started = time.monotonic()
    try:
        answer = process.invoke({"Records": [_record(message) for message in messages]})
    except OnnxletError as error:
        say(f"{function.name} failed: {what}: {error.detail}")
        return {message["MessageId"] for message in messages}
    seconds = time.monotonic() - started
    reported = answer.get("batchItemFailures", []) if function.reports_failures and answer else []
    failed = {failure["itemIdentifier"] for failure in reported}
    for message in messages:
        if message["MessageId"] in failed:
            say(f"{function.name} failed: {_describe(message)}; its log says why")
        else:
            say(f"{function.name} done: {_describe(message)}, {seconds:.1f} s")
    return failed


def _record(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as Lambda hands it over: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": message.get("MessageAttributes", {}),
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:123456789012:queue",
        "awsRegion": REGION,
    }


def _describe(message: Mapping[str, Any]) -> str:
    """The key that a message is about, if it is about one."""
    try:
        return str(json.loads(message["Body"])["detail"]["object"]["key"])
    except (ValueError, KeyError, TypeError):
        return f"message {message['MessageId']}"
