"""Whether others used the processors while something was measured."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onnxlet.toolchain.fit import busyness
from onnxlet.toolchain.fit.busyness import Busyness

pytestmark = pytest.mark.skipif(not busyness.STAT.exists(), reason="only Linux counts the ticks of each processor")


def test_processes_of_others_make_the_machine_busy() -> None:
    processors = len(os.sched_getaffinity(0))
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processors)]
    try:
        count = Busyness(wanted=min(2, processors))
        time.sleep(1.0)
        said = count.describe()
    finally:
        for other in others:
            other.kill()
    assert said is not None
    assert said.startswith("this machine was busy: others took ")
    for other in others:
        other.wait()


def test_what_is_measured_itself_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = tmp_path / "stat"
    monkeypatch.setattr(busyness, "STAT", ticks)
    names = [f"cpu{number}" for number in os.sched_getaffinity(0)]
    ticks.write_text("".join(f"{name} 100 0 0 1000 5 0 0 0 0 0\n" for name in names))
    count = Busyness(wanted=2)
    subprocess.run([sys.executable, "-c", "for number in range(10**7): pass"], check=True)

    # as if this work had been all that there was
    ticks.write_text("".join(f"{name} 101 0 0 1100 9 0 0 0 0 0\n" for name in names))

    assert count.describe() is None


def test_without_counters_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busyness, "STAT", tmp_path / "none")

    assert Busyness(wanted=2).describe() is None
