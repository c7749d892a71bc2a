"""Latency of a few rows, of two engines side by side.

The fastest run of each counts, as whatever else a machine does only adds to a run. The ratio of the fastest runs varies
by an eighth of what the median of the ratios does, measured with a graph beside itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from time import perf_counter

from onnxlet.serving.engine import Engine
from onnxlet.values.tensors import Tensors

NOT_SLOWER = 1.1
"""A graph that takes at most so many times as long is not slower."""
UNSURE = (0.92, 2.0)
"""Ratios to the limit between which more rounds are measured before a latency is believed."""
UNNOTICED = 10e-6
"""Seconds that nobody notices."""
FEWEST_ROUNDS = 2
ROUNDS = 9
MOST_SECONDS = 1.5
"""No further round is started after so many seconds."""
UNDECIDED_SECONDS = 4.0
LEAST_SECONDS = 0.25
"""The least time of a decisive measurement: what disturbs a processor outlasts a few runs of a small graph."""
MOST_RUNS = 100
"""The most runs of a round."""
ROUND_SECONDS = 0.02


@dataclass(frozen=True)
class Latency:
    """Seconds that the same rows take, before and after."""

    before: float
    after: float

    @property
    def slower(self) -> bool:
        """Whether it takes longer, by more than what measurements vary by and nobody notices."""
        return self.after > self.before * NOT_SLOWER and self.after - self.before > UNNOTICED

    @property
    def undecided(self) -> bool:
        """Whether a little noise would make it slower, or no longer so."""
        least, most = UNSURE
        return least < self.after / self.before / NOT_SLOWER < most and self.after - self.before > UNNOTICED * least

    def __str__(self) -> str:
        after, before = (f"{seconds * 1e6:.0f}" for seconds in (self.after, self.before))
        if after == before:
            return f"one row takes {after} us, as before"
        return f"one row takes {after} instead of {before} us"


def measure_latency(engine: Engine, reference: Engine, inputs: Tensors, *, decisive: bool = False) -> Latency:
    """How long `engine` takes for these inputs, beside `reference`: the fastest runs of interleaved rounds.

    Each round times both, so that what else the machine does weighs on both alike. Where it is `decisive` whether the
    engine is slower, there are more rounds while that is undecided. Raises ExecutionError as they do.
    """
    started = perf_counter()
    pair = (reference, engine)
    runs = max(1, min(MOST_RUNS, int(ROUND_SECONDS / min(_time_fastest(each, inputs, 1) for each in pair))))
    for warm in pair if runs > 1 else ():
        _time_fastest(warm, inputs, runs)
    fastest = [math.inf, math.inf]
    for rounds in count(1):
        for turn in (0, 1) if rounds % 2 else (1, 0):
            fastest[turn] = min(fastest[turn], _time_fastest(pair[turn], inputs, runs))
        latency = Latency(*fastest)
        if _has_enough_rounds(rounds, perf_counter() - started, decisive=decisive, undecided=latency.undecided):
            break
    return latency


def _has_enough_rounds(rounds: int, seconds: float, *, decisive: bool, undecided: bool) -> bool:
    if rounds < FEWEST_ROUNDS:
        return False
    if decisive and undecided:
        return seconds >= UNDECIDED_SECONDS
    least = LEAST_SECONDS if decisive else 0.0
    return seconds >= MOST_SECONDS or (rounds >= ROUNDS and seconds >= least)


def _time_fastest(engine: Engine, inputs: Tensors, runs: int) -> float:
    """Seconds of the fastest of so many runs."""
    fastest = math.inf
    for _ in range(runs):
        started = perf_counter()
        engine.run(inputs)
        fastest = min(fastest, perf_counter() - started)
    return fastest
