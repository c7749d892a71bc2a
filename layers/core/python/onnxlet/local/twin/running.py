"""The twin put together: a cloud, the functions of the template, and what calls them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from onnxlet.local.step_functions import check
from onnxlet.local.twin.aws_server import serve_aws
from onnxlet.local.twin.cloud import RETRY_AFTER, Cloud
from onnxlet.local.twin.environments import Environments
from onnxlet.local.twin.executions import Simulator
from onnxlet.local.twin.pump import INTERVAL, Say, pump_messages, run_on_schedule

if TYPE_CHECKING:
    from onnxlet.local.twin.wiring import Wiring
    from onnxlet.store import Store

BUCKET = "onnxlet-local"
PORT = 4566
_COPIED = ("models/", "aliases/", "history/", "settings/")

Copied = Callable[[int, int], None]


@contextmanager
def run_twin(
    wiring: Wiring, logs: Path, say: Say, *, port: int = PORT, bucket: str = BUCKET, retry_after: int = RETRY_AFTER
) -> Iterator[Cloud]:
    """What a template wires for this bucket, at work until the block ends. Functions print to files in `logs`.

    What failed is tried again after `retry_after` seconds, or as soon as the template says.

    Raises UnavailableError if the port is taken, InvalidInputError for a state machine that cannot be played.
    """
    for machine in wiring.machines:
        check(machine.definition)
    over = Event()
    with serve_aws(port) as endpoint:
        cloud = Cloud(endpoint, bucket, retry_after=retry_after)
        cloud.build(wiring)
        functions = {function.name: Environments(function, cloud, logs) for function in wiring.functions}
        callers = _make_callers(wiring, cloud, functions, over, say)
        for caller in callers:
            caller.start()
        try:
            yield cloud
        finally:
            over.set()
            for caller in callers:
                while caller.is_alive():  # a function may just be starting another process
                    for environments in functions.values():
                        environments.interrupt()
                    caller.join(INTERVAL)
            for environments in functions.values():
                environments.stop()


def copy_registry(source: Store, target: Store, on_progress: Copied) -> int:
    """Copy what is published in a store, its aliases and their history into another. How many objects that were."""
    entries = [entry for prefix in _COPIED for entry in source.list(prefix)]
    total, done = sum(entry.size for entry in entries), 0
    for entry in entries:
        target.put(entry.key, source.get(entry.key).data)
        done += entry.size
        on_progress(done, total)
    return len(entries)


def _make_callers(
    wiring: Wiring, cloud: Cloud, functions: dict[str, Environments], over: Event, say: Say
) -> list[Thread]:
    """A thread for whatever calls functions: queues, as often at once as they may, the clock, state machines."""
    callers: list[Thread] = []
    queues = {queue.name: queue for queue in wiring.queues}
    for function in wiring.functions:
        environments = functions[function.name]
        if function.queue is not None:
            queue = queues[function.queue]
            alarm = wiring.alarm("ApproximateNumberOfMessagesVisible", queue.dead_letters)
            pumped = (cloud, queue, function, environments, over, say, alarm)
            at_once = max(1, min(function.at_once, os.cpu_count() or 1))
            callers += [Thread(target=pump_messages, args=pumped) for _ in range(at_once)]
        elif function.schedule is not None:
            callers.append(Thread(target=run_on_schedule, args=(function, environments, over, say)))
    for machine in wiring.machines:
        alarm = wiring.alarm("ExecutionsFailed", machine.stack)
        simulator = Simulator(cloud, machine, functions, over, say, alarm)
        callers.append(Thread(target=simulator.run))
    return callers
