"""Latency of one row, of two engines side by side."""

from __future__ import annotations

from statistics import median
from time import perf_counter

from onnxlet.engine import Engine
from onnxlet.tensors import Tensors

ROUNDS = 9
MOST_RUNS = 100
ROUND_SECONDS = 0.02


def latency_ratio(engine: Engine, reference: Engine, inputs: Tensors) -> float:
    """How many times as long `engine` takes as `reference` for these inputs: the median of interleaved rounds.

    Each round times both, so that what else the machine does weighs on both alike.
    """
    once = max(_seconds(reference, inputs, 1) for _ in range(3))
    runs = max(1, min(MOST_RUNS, int(ROUND_SECONDS / once)))
    for warm in (engine, reference):
        _seconds(warm, inputs, runs)
    return median(_seconds(engine, inputs, runs) / _seconds(reference, inputs, runs) for _ in range(ROUNDS))


def _seconds(engine: Engine, inputs: Tensors, runs: int) -> float:
    """Seconds of the median of so many runs."""
    taken = []
    for _ in range(runs):
        started = perf_counter()
        engine.run(inputs)
        taken.append(perf_counter() - started)
    return median(taken)
