"""A pool of threads that make predictions beside the event loop, so that no model holds up the rest.

concurrent.futures has one as well, whose threads keep the process alive while a model hangs, and whose futures cost a
prediction half as much again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import thread_time

from onnxlet.dataplane.messages import Request, Response

MOST = 64
"""Threads at most: requests beyond wait until one of those before them is answered."""

Timed = tuple[Response, float]
"""An answer, and the processor's seconds for it: beside other threads, the clock shows what those took too."""
_Waiting = tuple[Request, "asyncio.Future[Timed]"]


class ThreadPool:
    """Answers requests in as many threads as there are requests at a time.

    All its own bookkeeping happens on the event loop, and so needs no lock.
    """

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self._answer = answer
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0

    async def answer(self, request: Request) -> Timed:
        """What `answer` makes of `request`, and how long that took."""
        answered: asyncio.Future[Timed] = asyncio.get_running_loop().create_future()
        self._queue.put((request, answered))
        self._unfinished += 1
        if self._threads < min(self._unfinished, MOST):
            self._start_thread()
        try:
            return await answered
        finally:
            self._unfinished -= 1

    def stop(self) -> None:
        """Let every thread end after what it does now."""
        for _ in range(self._threads):
            self._queue.put(None)
        self._threads = 0

    def _start_thread(self) -> None:
        # A daemon, because a model that hangs must not keep the process alive.
        threading.Thread(target=self._work, name="onnxlet-prediction", daemon=True).start()
        self._threads += 1

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            request, answered = job
            started = thread_time()
            timed = self._answer(request), thread_time() - started
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                answered.get_loop().call_soon_threadsafe(_deliver, answered, timed)


def _deliver(answered: asyncio.Future[Timed], timed: Timed) -> None:
    if not answered.done():
        answered.set_result(timed)
