"""SQS's redrive, which moto has not: StartMessageMoveTask, answered once all messages are moved.

docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import boto3

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_TARGET = "AmazonSQS.StartMessageMoveTask"
_MOST = 10
"""Messages of a request."""


class _RefusedError(Exception):
    """A request that SQS refuses: its kind of error, and what is wrong."""


def play_message_moves(application: Application) -> Application:
    """An application that answers as `application` does, and moves messages too."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET") != _TARGET:
            return application(environ, start_response)
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        try:
            status, answer = "200 OK", _move(_connect(environ), asked["SourceArn"], asked.get("DestinationArn"))
        except _RefusedError as error:
            kind, message = error.args
            status, answer = "400 Bad Request", {"__type": f"com.amazonaws.sqs#{kind}", "message": message}
        start_response(status, [("Content-Type", "application/x-amz-json-1.0")])
        return [json.dumps(answer).encode()]

    return serve


def _connect(environ: dict[str, Any]) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    """A client of the server that is asked, as who asks it."""
    return boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{environ['SERVER_PORT']}",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - nobody asks for it
    )


def _move(service: Any, source: str, destination: str | None) -> dict[str, str]:  # noqa: ANN401 - boto3's
    """Move what is visible. Raises _RefusedError if `source` is no dead-letter queue, or no destination is known."""
    queues = {
        told["QueueArn"]: (url, json.loads(told.get("RedrivePolicy", "{}")).get("deadLetterTargetArn"))
        for url in service.list_queues().get("QueueUrls", [])
        for told in [service.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]]
    }
    sources = [arn for arn, (_, dead_letters) in queues.items() if dead_letters == source]
    if source not in queues or not sources:
        raise _RefusedError("ResourceNotFoundException", "Source queue must be configured as a Dead Letter Queue.")
    target = destination or sources[0]
    if target not in queues or (len(sources) > 1 and destination is None):
        raise _RefusedError("ResourceNotFoundException", "name the destination: the queue that each came from is lost")
    url = queues[source][0]
    while messages := service.receive_message(QueueUrl=url, MaxNumberOfMessages=_MOST).get("Messages"):
        for message in messages:
            service.send_message(QueueUrl=queues[target][0], MessageBody=message["Body"])
            service.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return {"TaskHandle": uuid.uuid4().hex}
