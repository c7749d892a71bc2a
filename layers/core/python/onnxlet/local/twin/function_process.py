"""A function in a process of its own, as an environment of Lambda is one: warm from call to call, ended when its time
is over, and replaced when it has died.

Run as a module it is that process: events come as lines of JSON on standard input, answers go to the descriptor that it
is told. What the function prints is its log.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from onnxlet.errors import DeadlineExceededError, ExecutionError
from onnxlet.local.twin.wiring import Function

_PIECE = 65536
_START_SECONDS = 60.0
"""Seconds that the import of a function may take, which are not those of its timeout."""


class FunctionError(ExecutionError):
    """A function raised, or ended without an answer: `kind` is the error as Lambda names it, `cause` its message."""

    def __init__(self, cause: str, kind: str = "Error") -> None:
        super().__init__(f"{kind}: {cause}")
        self.kind = kind
        self.cause = cause


class FunctionProcess:
    """One environment of a function, which takes one event after the other and writes its log to a file."""

    def __init__(self, function: Function, environment: Mapping[str, str], store: str, log: Path) -> None:
        self._function = function
        self._environment = {**os.environ, **environment}
        self._arguments = json.dumps(
            {
                "path": str(function.folder / "app.py"),
                "store": store,
                "memory": function.memory,
                "timeout": function.timeout,
                "environment": dict(function.environment),
            }
        )
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: IO[bytes] | None = None

    def invoke(self, event: object) -> Any:  # noqa: ANN401 - any JSON
        """What the function returns. Raises FunctionError for what it raises, and if its process dies,
        DeadlineExceededError if its time is over.
        """
        try:
            process, answers = self._running()
            assert process.stdin is not None  # noqa: S101 - it was made so
            process.stdin.write(json.dumps(event).encode() + b"\n")
            process.stdin.flush()
            return _read_answer(answers, self._function.timeout)
        except TimeoutError as error:
            self.stop()
            raise DeadlineExceededError(f"{self._function.name} timed out after {self._function.timeout} s") from error
        except (OSError, EOFError) as error:
            self.stop()
            raise FunctionError(f"{self._function.name} ended without an answer", "Runtime.ExitError") from error

    def interrupt(self) -> None:
        """Kill the process, from another thread than the one that invokes."""
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End the process; the next event gets a new one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdin is not None  # noqa: S101 - it was made so
            process.stdin.close()
        if self._answers is not None:
            self._answers.close()
            self._answers = None

    def _running(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        if self._process is None or self._answers is None or self._process.poll() is not None:
            self.stop()
            reading, writing = os.pipe()
            try:
                with self._log.open("ab") as log:
                    self._process = subprocess.Popen(  # noqa: S603 - ourselves
                        [sys.executable, "-m", __name__, str(writing), self._arguments],
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=log,
                        pass_fds=(writing,),
                        env=self._environment,
                        start_new_session=True,  # Ctrl-C is not theirs to hear
                    )
            finally:
                os.close(writing)
            self._answers = os.fdopen(reading, "rb", buffering=0)
            try:
                _read_answer(self._answers, _START_SECONDS)
            except FunctionError:
                self.stop()
                raise
        return self._process, self._answers


def _read_answer(answers: IO[bytes], seconds: float) -> Any:  # noqa: ANN401 - any JSON
    """What a call returns. Raises FunctionError for what it raises; TimeoutError and EOFError as below."""
    answer = json.loads(_read_line(answers, seconds))
    if "error" in answer:
        raise FunctionError(answer["error"]["errorMessage"], answer["error"]["errorType"])
    return answer["value"]


def _read_line(answers: IO[bytes], seconds: float) -> bytes:
    """One line. Raises TimeoutError if it does not come in time, EOFError if it never will."""
    ends, line = time.monotonic() + seconds, b""
    while not line.endswith(b"\n"):
        if not select.select([answers], [], [], max(0.0, ends - time.monotonic()))[0]:
            raise TimeoutError
        piece = os.read(answers.fileno(), _PIECE)
        if not piece:
            raise EOFError
        line += piece
    return line


def _serve(descriptor: int, path: str, **options: Any) -> None:  # noqa: ANN401 - those of LambdaFunction
    from onnxlet.local.lambda_runtime import LambdaFunction, format_error

    function = LambdaFunction(Path(path), **options)
    with os.fdopen(descriptor, "wb", buffering=0) as answers:

        def initialize() -> None:
            function.initialize()

        def answer(call: Callable[[], object]) -> None:
            try:
                told: dict[str, object] = {"value": call()}
            except Exception as error:  # noqa: BLE001 - whatever a handler raises, Lambda reports
                told = {"error": format_error(error, function.request_id)}
            sys.stdout.flush()
            answers.write(json.dumps(told).encode() + b"\n")

        answer(initialize)
        for line in sys.stdin.buffer:
            answer(partial(function, json.loads(line)))


if __name__ == "__main__":
    _serve(int(sys.argv[1]), **json.loads(sys.argv[2]))
