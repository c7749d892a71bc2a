"""Executions of a state machine: moto's server takes them by Step Functions' API, and the simulator runs them.

Moto runs Maps too, but its failed children become null and the run succeeds, whatever is tolerated.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from onnxlet.errors import DeadlineExceededError, OnnxletError
from onnxlet.local.step_functions import ExecutionFailedError, ExecutionStoppedError, Surroundings, simulate
from onnxlet.local.twin.aws_server import end_execution
from onnxlet.local.twin.function_process import FunctionError
from onnxlet.local.twin.pump import INTERVAL, Invoker, Say

if TYPE_CHECKING:
    from onnxlet.local.twin.cloud import Cloud
    from onnxlet.local.twin.wiring import Machine


@dataclass(frozen=True)
class Simulator:
    """Runs what is started of a state machine until `over`, and says how far it is.

    A state that is tried again waits as long as its rule says, at most as the cloud does. `alarm` is what to say of one
    that failed.
    """

    cloud: Cloud
    machine: Machine
    functions: Mapping[str, Invoker]
    over: Event
    say: Say
    alarm: str

    def run(self) -> None:
        """Run executions as they are started, each in a thread of its own."""
        service = self.cloud.client("stepfunctions")
        listing, machine = service.get_paginator("list_executions"), self.cloud.machines[self.machine.stack]
        threads: dict[str, Thread] = {}
        while not self.over.wait(INTERVAL):
            for page in listing.paginate(stateMachineArn=machine, statusFilter="RUNNING"):
                for execution in page["executions"]:
                    arn = execution["executionArn"]
                    if arn not in threads:
                        threads[arn] = Thread(
                            target=self._execute, args=(service.describe_execution(executionArn=arn),)
                        )
                        threads[arn].start()
        for thread in threads.values():
            thread.join()

    def _execute(self, execution: Mapping[str, Any]) -> None:
        arn, given = execution["executionArn"], json.loads(execution["input"])
        what = f"{given.get('key', 'order')}, execution {execution['name'][:8]}"
        started = time.monotonic()
        self.say(f"{what}: run by the simulator of Step Functions")
        try:
            output = simulate(self.machine.definition, given, self._surround(arn, what))
        except ExecutionStoppedError:
            end_execution(arn, "ABORTED")
            if not self.over.is_set():
                self.say(f"{what}: stopped")
        except ExecutionFailedError as failure:
            end_execution(arn, "FAILED", error=failure.error, cause=failure.cause)
            self.say(f"{what}: failed: {failure}{self.alarm}")
        except Exception as error:  # noqa: BLE001 - an execution has an end, whatever happens
            end_execution(arn, "FAILED", error="States.Runtime", cause=str(error))
            self.say(f"{what}: failed: the simulator: {error!r}")
        else:
            end_execution(arn, "SUCCEEDED", output=json.dumps(output))
            self.say(f"{what}: succeeded, {time.monotonic() - started:.1f} s")

    def _surround(self, arn: str, what: str) -> Surroundings:
        storage, events = self.cloud.client("s3"), self.cloud.client("events")
        service = self.cloud.client("stepfunctions")

        def stop_if_over() -> None:
            if self.over.is_set() or service.describe_execution(executionArn=arn)["status"] != "RUNNING":
                raise ExecutionStoppedError

        def wait(seconds: float) -> None:
            self.over.wait(min(seconds, self.cloud.retry_after))
            stop_if_over()

        def call(name: str) -> Callable[[Any], Any]:
            def invoke(event: Any) -> Any:  # noqa: ANN401 - JSON
                stop_if_over()
                try:
                    return self.functions[name].invoke(event)
                except OnnxletError as error:
                    stop_if_over()
                    self.say(f"{name} failed: {what}: {error.detail}")
                    raise _as_step_functions_sees(error) from error

            return invoke

        def read_object(bucket: str, key: str) -> bytes:
            try:
                data: bytes = storage.get_object(Bucket=bucket, Key=key)["Body"].read()
            except ClientError as error:
                raise ExecutionFailedError("States.ItemReaderFailed", str(error)) from error
            return data

        return Surroundings(
            {name: call(name) for name in self.machine.functions},
            read_object,
            lambda entries: events.put_events(Entries=entries),
            at_once=os.cpu_count() or 1,
            wait=wait,
            tell=lambda state: self.say(f"{what}: {state}"),
        )


def _as_step_functions_sees(error: OnnxletError) -> ExecutionFailedError:
    """What a state fails with if its function does.

    docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    if isinstance(error, FunctionError):
        return ExecutionFailedError(error.kind, error.cause)
    kind = "Sandbox.Timedout" if isinstance(error, DeadlineExceededError) else "Lambda.Unknown"
    return ExecutionFailedError(kind, error.detail)
