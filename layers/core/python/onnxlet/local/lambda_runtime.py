"""A function run in this process as Lambda runs it: its environment, its events, its context, and how errors come back.

After docs.aws.amazon.com/lambda/latest/dg/python-context.html and python-exceptions.html.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxlet.settings import Settings

REGION = "us-east-1"
ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What Lambda hands a handler besides the event."""

    function_name: str
    memory_limit_in_mb: str
    aws_request_id: str
    deadline: float
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None
    tenant_id: None = None
    log_stream_name: str = field(default_factory=lambda: time.strftime("%Y/%m/%d/[$LATEST]") + uuid.uuid4().hex)

    @property
    def invoked_function_arn(self) -> str:
        """The name under which the function was called."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """Where its logs would lie."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end the function."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class LambdaFunction:
    """A function: `app.py` with its `handler`, given a store, memory in MB, a timeout in seconds and an environment.

    `request_id` is that of its newest call.
    """

    def __init__(
        self, path: Path, *, store: str, memory: int, timeout: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.path = path
        self.request_id = ""
        self._environment = {
            **(environment or {}),
            "ONNXLET_STORE": store,
            "ONNXLET_CACHE_DIR": Settings.from_environ(os.environ).cache_folder,
            "ORT_DISABLE_TELEMETRY": "1",
            "AWS_LAMBDA_FUNCTION_NAME": path.parent.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        }
        self._timeout = timeout
        self._handler: Callable[[Any, LambdaContext], Any] | None = None

    def __call__(self, event: Any) -> Any:  # noqa: ANN401 - any JSON
        """What the handler returns for the event, as JSON carries it. Raises what the function raises."""
        self.request_id = str(uuid.uuid4())
        handler = self.initialize()
        context = LambdaContext(
            function_name=self.path.parent.name,
            memory_limit_in_mb=self._environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
            aws_request_id=self.request_id,
            deadline=time.monotonic() + self._timeout,
        )
        return json.loads(json.dumps(handler(event, context)))

    def initialize(self) -> Callable[[Any, LambdaContext], Any]:
        """The function's handler, imported by the first who asks. Raises what the import raises."""
        if self._handler is None:
            os.environ.update(self._environment)
            self._handler = self._load_handler()
        return self._handler

    def _load_handler(self) -> Callable[[Any, LambdaContext], Any]:
        # Lambda has the function's own folder on the path and imports app.py as a top-level module
        sys.path.insert(0, str(self.path.parent.absolute()))
        spec = importlib.util.spec_from_file_location("app", self.path)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot import {self.path}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        handler: Callable[[Any, LambdaContext], Any] = module.handler
        return handler


def format_error(error: BaseException, request_id: str) -> dict[str, Any]:
    """An error as the caller of a function sees it."""
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_tb(error.__traceback__)[1:],
    }
