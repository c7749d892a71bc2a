"""The environments of a function: as many events at once as there are processes, each of which stays warm."""

from __future__ import annotations

import os
from pathlib import Path
from queue import LifoQueue
from typing import TYPE_CHECKING, Any

from onnxlet.local.twin.function_process import FunctionProcess

if TYPE_CHECKING:
    from onnxlet.local.twin.cloud import Cloud
    from onnxlet.local.twin.wiring import Function


class Environments:
    """A function that takes events from several threads; whoever comes when all its processes are at work waits.

    What it prints goes to a file in `logs`. There are as many processes as cores, once so many are needed.
    """

    def __init__(self, function: Function, cloud: Cloud, logs: Path) -> None:
        log = logs / f"{function.folder.name}.log"
        self._processes = [
            FunctionProcess(function, cloud.environment, cloud.store, log) for _ in range(os.cpu_count() or 1)
        ]
        self._idle: LifoQueue[FunctionProcess] = LifoQueue()  # who worked last is warm
        for process in self._processes:
            self._idle.put(process)

    def invoke(self, event: object) -> Any:  # noqa: ANN401 - any JSON
        """What the function returns. Raises as FunctionProcess does."""
        process = self._idle.get()
        try:
            return process.invoke(event)
        finally:
            self._idle.put(process)

    def interrupt(self) -> None:
        """Kill the processes, from another thread than those that invoke."""
        for process in self._processes:
            process.interrupt()

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.stop()
