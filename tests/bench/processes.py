"""What a process costs from its start to its end: wall time, processor time and the most memory of its tree."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.05
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and processor time, and the largest proportional set size in MB."""

    wall: float
    processor: float
    memory: float


def run_measured(command: Sequence[str | Path], environ: Mapping[str, str]) -> Cost:
    """Run a command. Raises subprocess.CalledProcessError if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), env=os.environ | dict(environ), stdout=subprocess.DEVNULL)
    peak = _Peak(process.pid)
    peak.start()
    status = process.wait()
    wall = time.perf_counter() - started
    peak.ended.set()
    peak.join()
    if status:
        raise subprocess.CalledProcessError(status, list(map(str, command)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, used, peak.megabytes)


class _Peak(threading.Thread):
    """Looks at the memory of a process and its children until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.ended = threading.Event()
        self.megabytes = 0.0

    def run(self) -> None:
        """Look."""
        while not self.ended.wait(INTERVAL):
            self.megabytes = max(self.megabytes, sum(map(_megabytes, _family(self._pid))))


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in _family(int(child)))]


def _megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
