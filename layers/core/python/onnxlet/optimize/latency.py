"""Latency of a few rows, of two engines side by side."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter

from onnxlet.engine import Engine
from onnxlet.tensors import Tensors

NOT_SLOWER = 1.1
"""Times the latency of one row."""
UNNOTICED = 10e-6
"""Seconds."""
ROUNDS = 9
FEWEST_ROUNDS = 2
MOST_RUNS = 100
ROUND_SECONDS = 0.02
MOST_SECONDS = 1.5
"""No further round is started once this much time went by."""


@dataclass(frozen=True)
class Latency:
    """Seconds that the same rows take, before and after."""

    before: float
    after: float

    @property
    def slower(self) -> bool:
        """Whether it takes longer, by more than what medians vary by and nobody notices."""
        return self.after > self.before * NOT_SLOWER and self.after - self.before > UNNOTICED

    def __str__(self) -> str:
        return f"one row takes {self.after * 1e6:.0f} instead of {self.before * 1e6:.0f} us"


def latency_of(engine: Engine, reference: Engine, inputs: Tensors) -> Latency:
    """How long `engine` takes for these inputs, beside `reference`: the median ratio of interleaved rounds.

    Each round times both, so that what else the machine does weighs on both alike. Raises ExecutionError as they do.
    """
    started = perf_counter()
    once = min(_seconds(each, inputs, 1) for each in (engine, reference))
    runs = max(1, min(MOST_RUNS, int(ROUND_SECONDS / once)))
    for warm in (engine, reference) if runs > 1 else ():
        _seconds(warm, inputs, runs)
    rounds: list[tuple[float, float]] = []
    while len(rounds) < FEWEST_ROUNDS or (len(rounds) < ROUNDS and perf_counter() - started < MOST_SECONDS):
        rounds.append((_seconds(reference, inputs, runs), _seconds(engine, inputs, runs)))
    before = median(float_ for float_, _ in rounds)
    return Latency(before, before * median(quantized / float_ for float_, quantized in rounds))


def _seconds(engine: Engine, inputs: Tensors, runs: int) -> float:
    """Seconds of the median of so many runs."""
    taken = []
    for _ in range(runs):
        started = perf_counter()
        engine.run(inputs)
        taken.append(perf_counter() - started)
    return median(taken)
