"""Step Functions: executions of the state machine that scores large files, started and stopped."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from onnxlet.errors import StoreUnavailableError
from onnxlet.jobs.orders import Order, execution_name

if TYPE_CHECKING:
    from collections.abc import Iterator

REPETITIONS = 100
"""So often can the same order be repeated after it ended, within the 90 days that names are kept."""


class StateMachine:
    """The state machine of this ARN. Methods raise StoreUnavailableError if Step Functions refuses."""

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self._lazy_client: Any = None

    def start(self, order: Order, identity: str) -> str:
        """Have a source of this identity scored, unless that is under way: the execution's ARN.

        Step Functions takes the same name with the same input again while the execution runs, and never afterwards.
        """
        for number in range(1, REPETITIONS + 1):
            name = f"{execution_name(order, identity)}-{number}"
            execution = self._start(name, order)
            if execution is not None:
                return execution
        raise StoreUnavailableError(f"{order.key!r} was scored {REPETITIONS} times in 90 days: upload it anew")

    def stop(self, execution: str, cause: str) -> None:
        """End an execution; it is no error if it has ended."""
        with _translated():
            self._client.stop_execution(executionArn=execution, error="Cancelled", cause=cause)

    def status(self, execution: str) -> tuple[str, str]:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, and the cause of a failure."""
        with _translated():
            described = self._client.describe_execution(executionArn=execution)
        return described["status"], described.get("cause", "")

    def _start(self, name: str, order: Order) -> str | None:
        """The execution of this name, which runs now; None if it has ended."""
        text = msgspec.json.encode(order).decode()
        with _translated():
            try:
                answer = self._client.start_execution(stateMachineArn=self.arn, name=name, input=text)
            except self._client.exceptions.ExecutionAlreadyExists:
                return None
        arn: str = answer["executionArn"]
        return arn

    @property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes as it goes
        if self._lazy_client is None:
            import boto3

            self._lazy_client = boto3.client("stepfunctions")
        return self._lazy_client


@contextmanager
def _translated() -> Iterator[None]:
    """Raises our error for those of botocore."""
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailableError(f"Step Functions does not answer: {error}") from error
