"""A pool of threads that make predictions beside the event loop, so that no model holds up the rest.

A queue of their own costs half of what an executor's futures do. Few threads are quickest, for they take turns at the
interpreter; when all of them are busy with something slow, more are started, until nothing waits any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import thread_time

from onnxlet.dataplane.messages import Request, Response

FEWEST = max(2, min(8, os.cpu_count() or 2))
MOST = 64
PATIENCE = 0.01
"""Seconds in which some answer must have been finished, while others wait, lest another thread is started."""

Timed = tuple[Response, float]
"""An answer, and the processor's seconds for it: beside other threads, the clock shows what those took too."""
_Job = tuple[Request, "asyncio.Future[Timed]"]


class ThreadPool:
    """Answers requests in threads. All its own bookkeeping happens on the event loop, and so needs no lock."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self._answer = answer
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        self._finished = 0
        self._watching = False

    async def answer(self, request: Request) -> Timed:
        """What `answer` makes of `request`, and how long that took."""
        loop = asyncio.get_running_loop()
        while self._threads < FEWEST:
            self._start_thread()
        answered: asyncio.Future[Timed] = loop.create_future()
        self._queue.put((request, answered))
        self._unfinished += 1
        if not self._watching:
            self._watching = True
            loop.call_later(PATIENCE, self._watch, loop, self._finished)
        try:
            return await answered
        finally:
            self._unfinished -= 1
            self._finished += 1

    def stop(self) -> None:
        """Let every thread end after what it does now."""
        self._shrink(0)

    def _watch(self, loop: asyncio.AbstractEventLoop, finished: int) -> None:
        """Start a thread if none got on, until nothing is left to do; `finished` answers were so the last time."""
        if self._finished == finished and not self._queue.empty() and self._threads < MOST:
            self._start_thread()
        self._watching = self._unfinished > 0
        if self._watching:
            loop.call_later(PATIENCE, self._watch, loop, self._finished)
        else:
            self._shrink(FEWEST)

    def _start_thread(self) -> None:
        # A daemon, because a model that hangs must not keep the process alive.
        threading.Thread(target=self._work, name="onnxlet-prediction", daemon=True).start()
        self._threads += 1

    def _shrink(self, count: int) -> None:
        while self._threads > count:
            self._queue.put(None)
            self._threads -= 1

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
