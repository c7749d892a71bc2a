"""Latency of a few rows, of two engines side by side.

What counts is the fastest run of each: whatever else a machine does only ever adds to what a run takes, and of graphs
beside themselves the ratio of the fastest runs varies by an eighth of what the median of ratios does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from time import perf_counter

from onnxlet.serving.engine import Engine
from onnxlet.values.tensors import Tensors

NOT_SLOWER = 1.1
"""Times the latency of one row."""
UNSURE = (0.92, 2.0)
"""Times the limit: in between, more rounds are measured before it is believed."""
UNNOTICED = 10e-6
"""Seconds."""
FEWEST_ROUNDS = 2
ROUNDS = 9
MOST_SECONDS = 1.5
"""No further round is started once this much time went by."""
UNDECIDED_SECONDS = 4.0
LEAST_SECONDS = 0.25
"""Where it is decisive: what disturbs a processor lasts longer than a few runs of a small graph."""
MOST_RUNS = 100
"""Of a round."""
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


def latency_of(engine: Engine, reference: Engine, inputs: Tensors, *, decisive: bool = False) -> Latency:
    """How long `engine` takes for these inputs, beside `reference`: the fastest runs of interleaved rounds.

    Each round times both, so that what else the machine does weighs on both alike. Where it is `decisive` whether the
    engine is slower, there are more rounds while that is undecided. Raises ExecutionError as they do.
    """
    started = perf_counter()
    pair = (reference, engine)
    runs = max(1, min(MOST_RUNS, int(ROUND_SECONDS / min(_fastest(each, inputs, 1) for each in pair))))
    for warm in pair if runs > 1 else ():
        _fastest(warm, inputs, runs)
    fastest = [math.inf, math.inf]
    for rounds in count(1):
        for turn in (0, 1) if rounds % 2 else (1, 0):
            fastest[turn] = min(fastest[turn], _fastest(pair[turn], inputs, runs))
        latency = Latency(*fastest)
        if _enough(rounds, perf_counter() - started, decisive=decisive, undecided=latency.undecided):
            break
    return latency


def _enough(rounds: int, seconds: float, *, decisive: bool, undecided: bool) -> bool:
    if rounds < FEWEST_ROUNDS:
        return False
    if decisive and undecided:
        return seconds >= UNDECIDED_SECONDS
    least = LEAST_SECONDS if decisive else 0.0
    return seconds >= MOST_SECONDS or (rounds >= ROUNDS and seconds >= least)


def _fastest(engine: Engine, inputs: Tensors, runs: int) -> float:
    """Seconds of the fastest of so many runs."""
    fastest = math.inf
    for _ in range(runs):
        started = perf_counter()
        engine.run(inputs)
        fastest = min(fastest, perf_counter() - started)
    return fastest
