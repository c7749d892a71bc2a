"""Latencies: which predictions run on the event loop."""

from __future__ import annotations

from onnxlet.local.latency import MOST_PATHS, Latencies
from servers import PREDICT


def test_a_path_is_answered_on_the_event_loop_while_its_answers_are_quick() -> None:
    latencies = Latencies()
    assert not latencies.is_quick(PREDICT, 100)
    latencies.record(PREDICT, 0.0001)
    assert latencies.is_quick(PREDICT, 100)
    assert not latencies.is_quick(PREDICT, 1_000_000)
    latencies.record(PREDICT, 3.0)
    for _ in range(20):
        latencies.record(PREDICT, 0.0001)
    assert not latencies.is_quick(PREDICT, 100)
    for _ in range(60):
        latencies.record(PREDICT, 0.0001)
    assert latencies.is_quick(PREDICT, 100)


def test_only_so_many_paths_are_remembered() -> None:
    latencies = Latencies()
    for number in range(MOST_PATHS + 1):
        latencies.record(str(number), 0.0001)
    assert not latencies.is_quick("0", 1)
    assert latencies.is_quick(str(MOST_PATHS), 1)
