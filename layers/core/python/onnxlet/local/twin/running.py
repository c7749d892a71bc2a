"""The twin put together: a cloud, the functions of the template, and what calls them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from onnxlet.local.twin.aws_server import serve_aws
from onnxlet.local.twin.cloud import VISIBILITY, Cloud
from onnxlet.local.twin.function_process import FunctionProcess
from onnxlet.local.twin.pump import INTERVAL, Say, pump_messages, run_on_schedule
from onnxlet.local.twin.template import Function, read_wiring

if TYPE_CHECKING:
    from onnxlet.store import Store

BUCKET = "onnxlet-local"
PORT = 4566
_COPIED = ("models/", "aliases/", "history/", "settings/")

Copied = Callable[[int, int], None]


@contextmanager
def run_twin(
    template: Path, logs: Path, say: Say, *, port: int = PORT, bucket: str = BUCKET, visibility: int = VISIBILITY
) -> Iterator[Cloud]:
    """What `template` wires, at work until the block ends. What functions print goes to files in `logs`.

    Messages that failed come again after `visibility` seconds, or as soon as the template says.

    Raises InvalidInputError without a template, UnavailableError if the port is taken.
    """
    wiring = read_wiring(template, bucket)
    over = Event()
    with serve_aws(port) as endpoint:
        cloud = Cloud(endpoint, bucket, visibility=visibility)
        cloud.build(wiring)
        queues = {queue.name: queue for queue in wiring.queues}
        callers: list[tuple[Thread, FunctionProcess]] = []
        for function in wiring.functions:
            for _ in range(_count_processes(function)):
                log = logs / f"{function.folder.name}.log"
                process = FunctionProcess(function, cloud.environment, cloud.store, log)
                if function.queue is None:
                    caller = Thread(target=run_on_schedule, args=(function, process, over, say))
                else:
                    queue = queues[function.queue]
                    caller = Thread(target=pump_messages, args=(cloud, queue, function, process, over, say))
                callers.append((caller, process))
        for caller, _ in callers:
            caller.start()
        try:
            yield cloud
        finally:
            over.set()
            for caller, process in callers:
                while caller.is_alive():  # it may just be starting another process
                    process.interrupt()
                    caller.join(INTERVAL)
                process.stop()


def copy_registry(source: Store, target: Store, on_progress: Copied) -> int:
    """Copy what is published in a store, its aliases and their history into another. How many objects that were."""
    entries = [entry for prefix in _COPIED for entry in source.list(prefix)]
    total, done = sum(entry.size for entry in entries), 0
    for entry in entries:
        target.put(entry.key, source.get(entry.key).data)
        done += entry.size
        on_progress(done, total)
    return len(entries)


def _count_processes(function: Function) -> int:
    """As many as the template allows at once and this machine has cores; none if nothing here calls the function."""
    if function.queue is not None:
        return max(1, min(function.at_once, os.cpu_count() or 1))
    return 0 if function.schedule is None else 1
