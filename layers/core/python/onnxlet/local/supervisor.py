"""The supervisor: starts several workers, waits until all answer, replaces those that die, and ends them together.

multiprocessing starts them, not uvicorn's own supervisor: that one does not tell when all answer, leaves its workers
behind when it is killed, and restarts for ever one that dies before it answers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import ensure_running
from time import monotonic

from onnxlet.errors import UnavailableError
from onnxlet.local.limits import Limits
from onnxlet.local.metrics import TABLE_SIZE, Metrics
from onnxlet.local.shared_bytes import SIZE, SharedBytes
from onnxlet.settings import Settings

PATIENCE = 15.0
"""Seconds in which workers must end before they are killed: more than they give to requests under way."""

if sys.platform == "linux":
    # Forked workers share the memory of what was imported before.
    _CONTEXT = multiprocessing.get_context("forkserver")
else:
    # Libraries of macOS do not survive a fork.
    _CONTEXT = multiprocessing.get_context("spawn")
_PRELOADED = ["onnxlet.local.worker", "onnxlet.controlplane.app", "onnxruntime", "uvloop"]


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """What every worker is started with."""

    settings: Settings
    host: str
    exposed: bool
    who: str
    limits: Limits


@dataclass
class _Worker:
    """A worker as its supervisor sees it: a message on `link` says that it answers, the end of `link` that it ended."""

    process: BaseProcess
    link: Connection
    answers: bool = False


def supervise(setup: WorkerSetup, sockets: Sequence[socket.socket], on_ready: Callable[[], None]) -> None:
    """Run a worker on each listening socket until SIGINT or SIGTERM; the latter is raised again, as uvicorn does.

    `on_ready` is called once, as soon as every worker answers. Raises UnavailableError if one ends before it answers.
    """
    with _stop_signals() as stop:
        supervisor = _Supervisor(setup, sockets)
        try:
            number = supervisor.run(stop, on_ready)
        finally:
            supervisor.end(stop)
    if number == signal.SIGTERM:
        signal.raise_signal(number)


class _Supervisor:
    def __init__(self, setup: WorkerSetup, sockets: Sequence[socket.socket]) -> None:
        self._setup = setup
        self._sockets = sockets
        self._table = _CONTEXT.RawArray("d", TABLE_SIZE * len(sockets))
        self._bytes = _CONTEXT.RawArray("B", SIZE * len(sockets))
        self._workers: list[_Worker] = []
        ensure_running()  # multiprocessing's own helper: started with the first worker, it would let Ctrl-C through
        if sys.platform == "linux":
            _CONTEXT.set_forkserver_preload(_PRELOADED)

    def run(self, stop: Connection, on_ready: Callable[[], None]) -> int:
        """Keep a worker on each socket until the number of a signal comes from `stop`; return it."""
        for place in range(len(self._sockets)):
            self._workers.append(self._start(place))
        announced = False
        while True:
            for link in wait([stop, *(worker.link for worker in self._workers)]):
                if link is stop:
                    return int(stop.recv())
                self._attend(next(worker for worker in self._workers if worker.link is link))
            if not announced and all(worker.answers for worker in self._workers):
                announced = True
                on_ready()

    def end(self, stop: Connection) -> None:
        """Let the workers answer what is under way; kill them if that takes too long, or at a second signal."""
        for each in self._sockets:
            each.close()
        for worker in self._workers:
            worker.process.terminate()
        deadline = monotonic() + PATIENCE
        links = [worker.link for worker in self._workers]
        while links:
            ended = wait([stop, *links], max(0.0, deadline - monotonic()))
            if not ended or stop in ended:
                break
            links = [link for link in links if link not in ended]
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.link.close()

    def _attend(self, worker: _Worker) -> None:
        """Note that a worker answers, or replace it."""
        try:
            worker.answers = bool(worker.link.recv())
        except (EOFError, OSError):
            worker.link.close()
            worker.process.join()
            place = self._workers.index(worker)
            ended = f"worker {place + 1} (process {worker.process.pid}) ended with exit code {worker.process.exitcode}"
            if not worker.answers:
                del self._workers[place]
                raise UnavailableError(f"{ended} before it answered: what it wrote above says why") from None
            sys.stderr.write(f"onnxlet: {ended}, another takes its place\n")
            sys.stderr.flush()
            self._workers[place] = self._start(place)

    def _start(self, place: int) -> _Worker:
        link, workers_end = _CONTEXT.Pipe()
        metrics = Metrics(self._table, place, SharedBytes(self._bytes, place))
        process = _CONTEXT.Process(
            target=_work,
            args=(self._setup, self._sockets[place], metrics, workers_end),
            name=f"onnxlet-worker-{place + 1}",
            daemon=True,
        )
        # Ctrl-C reaches every process of a terminal: workers inherit that it waits, and end when they are told to.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            workers_end.close()
        return _Worker(process, link)


@contextmanager
def _stop_signals() -> Iterator[Connection]:
    """A connection that yields the number of each SIGINT and SIGTERM."""
    received, sender = _CONTEXT.Pipe(duplex=False)
    numbers = (signal.SIGINT, signal.SIGTERM)
    with received, sender:
        before = {number: signal.signal(number, lambda number, _: sender.send(number)) for number in numbers}
        try:
            yield received
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _work(setup: WorkerSetup, listening: socket.socket, metrics: Metrics, link: Connection) -> None:
    """What a worker process does."""
    threading.Thread(target=_end_with_supervisor, args=(link,), daemon=True).start()
    from onnxlet.local.dispatcher import create_asgi
    from onnxlet.local.worker import work

    application = create_asgi(setup.settings, setup.host, exposed=setup.exposed, who=setup.who, metrics=metrics)
    work(application, listening, setup.limits, partial(link.send, True))


def _end_with_supervisor(link: Connection) -> None:
    with suppress(EOFError, OSError):
        link.recv()
    os.kill(os.getpid(), signal.SIGTERM)
