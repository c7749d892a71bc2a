"""A function in a process of its own: warm, logged, ended when its time is over, replaced when it has died."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from onnxlet.errors import DeadlineExceededError, ExecutionError
from onnxlet.local.twin.function_process import FunctionProcess
from onnxlet.local.twin.wiring import Function

APP = """
import os, time
calls = 0
def handler(event, context):
    global calls
    calls += 1
    print("called", event)
    if event == "fail":
        raise ValueError("no such ward")
    if event == "sleep":
        time.sleep(60)
    left = context.get_remaining_time_in_millis()
    return {"calls": calls, "pid": os.getpid(), "ward": os.environ["WARD"], "left": left}
"""


@contextmanager
def running(folder: Path, timeout: int = 30) -> Iterator[FunctionProcess]:
    code = folder / "functions" / "count"
    code.mkdir(parents=True)
    (code / "app.py").write_text(APP)
    function = Function("Count", code, 128, timeout, {"WARD": "7"})
    process = FunctionProcess(function, {}, "memory://none", folder / "count.log")
    try:
        yield process
    finally:
        process.stop()


def test_it_stays_warm_from_event_to_event_and_what_it_prints_is_its_log(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        first, second = process.invoke("a"), process.invoke("b")
        assert (first["calls"], second["calls"], first["pid"]) == (1, 2, second["pid"])
        assert first["ward"] == "7"
        assert 0 < first["left"] <= 30_000
    assert (tmp_path / "count.log").read_text() == "called a\ncalled b\n"


def test_what_it_raises_is_told_and_leaves_it_warm(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        with pytest.raises(ExecutionError, match="ValueError: no such ward"):
            process.invoke("fail")
        assert process.invoke("a")["calls"] == 2


def test_one_that_takes_too_long_is_ended_and_the_next_event_finds_a_cold_one(tmp_path: Path) -> None:
    with running(tmp_path, timeout=2) as process:
        with pytest.raises(DeadlineExceededError, match="Count timed out after 2 s"):
            process.invoke("sleep")
        assert process.invoke("a")["calls"] == 1


def test_one_that_cannot_be_imported_says_why_at_every_event(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        (tmp_path / "functions" / "count" / "app.py").write_text("import nothing_of_the_kind")
        for _ in range(2):
            with pytest.raises(ExecutionError, match="ModuleNotFoundError: No module named 'nothing_of_the_kind'"):
                process.invoke("a")


def test_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        killer = Timer(0.2, os.kill, (process.invoke("a")["pid"], signal.SIGKILL))
        killer.start()
        with pytest.raises(ExecutionError, match="Count ended without an answer"):
            process.invoke("sleep")
        killer.join()
        assert process.invoke("a")["calls"] == 1
