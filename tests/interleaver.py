"""Store calls of several threads, one after the other, in an order that a seed decides."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

SECONDS_PER_RUN = 60


class Interleaver:
    """Runs functions in threads, one store call at a time, in an order that a seed decides."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self._turns: dict[int, threading.Semaphore] = {}
        self._arrived = threading.Semaphore(0)
        self._running: set[int] = set()
        self.faults: list[BaseException] = []

    def wait(self, _method: str, _key: str) -> None:
        """Called before each store call: until it is this thread's turn."""
        own = self._turns.get(threading.get_ident())
        if own is not None:
            self._arrived.release()
            assert own.acquire(timeout=SECONDS_PER_RUN)

    def run(self, functions: list[Callable[[], None]]) -> None:
        """Run all to their ends."""
        threads = [threading.Thread(target=self._run, args=(function,), daemon=True) for function in functions]
        for thread in threads:
            thread.start()
            assert self._arrived.acquire(timeout=SECONDS_PER_RUN)
        chosen = -1
        while self._running:
            # mostly the same one again: a delivery must sleep through all of another to do harm
            if chosen not in self._running or self.random.random() < 0.07:
                chosen = self.random.choice(sorted(self._running))
            self._turns[chosen].release()
            assert self._arrived.acquire(timeout=SECONDS_PER_RUN)
        assert self.faults == []

    def _run(self, function: Callable[[], None]) -> None:
        own = threading.get_ident()
        self._turns[own] = threading.Semaphore(0)
        self._running.add(own)
        try:
            self.wait("", "")
            function()
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self.faults.append(error)
        finally:
            del self._turns[own]  # another thread may get the number
            self._running.discard(own)
            self._arrived.release()
