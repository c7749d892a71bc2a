"""Who else used this machine's processors while it was measured."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from time import perf_counter

STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Where Linux counts the ticks without work, and those that waited for a disk (proc_stat(5))."""
_GUESTS = slice(8, 10)
"""Ticks of guests, which are counted as the user's too."""
TOLERATED = 0.25
"""Processors that others may take before it is worth a word."""


class Busyness:
    """Counts from when it is made. Without Linux's counters nobody else is seen."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._started = (perf_counter(), _busy_seconds(self._processors), _own_seconds())

    def describe(self) -> str | None:
        """What to know about the times that were measured since then; None if the processors were free."""
        started, busy, own = self._started
        elapsed = perf_counter() - started
        busy_now = _busy_seconds(self._processors)
        if busy is None or busy_now is None or elapsed <= 0:
            return None
        others = (busy_now - busy - (_own_seconds() - own)) / elapsed
        count = len(self._processors)
        if others <= TOLERATED or count - others >= self._wanted:
            return None
        return (
            f"this machine was busy: others took {others:.1f} of its {count} processors meanwhile, so that times are "
            "too long; measure again when it is idle"
        )


def _busy_seconds(processors: list[int]) -> float | None:
    """Seconds of work of these processors since the machine started."""
    try:
        lines = STAT.read_text().splitlines()
    except OSError:
        return None
    names = {f"cpu{number}" for number in processors}
    ticks = 0
    for line in lines:
        name, *counts = line.split()
        if name in names:
            numbers = list(map(int, counts))
            ticks += sum(numbers) - sum(numbers[_GUESTS]) - sum(numbers[place] for place in _IDLE)
    return ticks / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Seconds of work of this process and of those that it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
