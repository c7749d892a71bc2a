"""The choice among the rungs: the smallest, the fastest, or the smallest that is not slower than the float graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from onnxlet.toolchain.optimize.candidates import Bench, Tried
from onnxlet.toolchain.optimize.latency import Latency
from onnxlet.values.optimization import Rung

Objective = Literal["smallest-not-slower", "size", "latency"]
WORTHWHILE = 0.9
"""The share of the bytes, or of the latency, that may be left at most."""
ALIKE = 1.05
"""Times the bytes of the smallest: so near to it, latency decides."""
AS_FAST = 1.1
"""Times the latency of the fastest: so near to it, the distance of the answers decides."""


@dataclass(frozen=True)
class Choosing:
    """By what rungs are chosen. `timed` says whether this machine's latencies count: those of another kind do not."""

    objective: Objective
    float_size: int
    timed: bool

    def choose(self, tried: Sequence[Tried]) -> Tried | None:
        """The best rung that nothing speaks against; None if there is none."""
        good = [each for each in tried if not self.against(each)]
        if not good:
            return None
        if self.objective != "latency":
            smallest = min(each.size for each in good)
            good = [each for each in good if each.size <= smallest * ALIKE]
        if self.timed:
            fastest = min(map(_seconds, good))
            good = [each for each in good if _seconds(each) <= fastest * AS_FAST]
        return min(good, key=lambda each: each.judged.distance if each.judged else 0.0)

    def against(self, tried: Tried) -> str:
        """Why a rung may not be chosen; empty if it may."""
        if tried.broken or tried.judged is None or tried.latency is None:
            return tried.broken or "it was not measured"
        if tried.judged.breach:
            return tried.judged.breach
        share = tried.size / self.float_size
        if share > (1.0 if self.objective == "latency" else WORTHWHILE):
            return f"the graph keeps {share:.0%} of its bytes"
        latency = tried.latency
        if self.objective == "latency" and latency.after > latency.before * WORTHWHILE:
            return f"it is not faster: {latency}"
        if self.objective == "smallest-not-slower" and self.timed and latency.slower:
            return f"it is slower: {latency}"
        return ""

    def gain(self, tried: Tried) -> str:
        """What a rung gave, in words."""
        words = f"{1 - tried.size / self.float_size:.0%} smaller, {tried.latency}"
        return words if self.timed else f"{words} on this machine, which is of another kind"


def rungs(bench: Bench, choosing: Choosing, tried: Sequence[Tried], chosen: Tried | None) -> tuple[Rung, ...]:
    """What to record of the float graph and of every rung."""
    judged = bench.judge_plain()
    baselines = (
        min([bench.latency.before, *(each.latency.before for each in tried if each.latency)]),
        min([bench.latency_32.before, *(each.latency_32.before for each in tried if each.latency_32)]),
    )
    better = f"{chosen.name!r} is better" if chosen else "nothing better holds the contract"
    plain = Rung(
        name="float, optimized offline",
        method="none",
        outcome="passed" if chosen else "chosen",
        reason=f"{better}, nor does it itself: {judged.breach}" if judged.breach and not chosen else better,
        bytes=choosing.float_size,
        latency=baselines[0],
        latency_32=baselines[1],
        metrics=judged.metrics,
        distance=judged.distance,
    )
    return (plain, *(_rung(baselines, choosing, each, chosen) for each in tried))


def _rung(baselines: tuple[float, float], choosing: Choosing, tried: Tried, chosen: Tried | None) -> Rung:
    against = choosing.against(tried)
    bare = Rung(tried.name, tried.method, "skipped" if tried.name == tried.method else "refused", against)
    if tried.judged is None or tried.latency is None or tried.latency_32 is None:
        return bare
    if not against:
        bare = Rung(tried.name, tried.method, "passed", _beaten(choosing, tried, chosen))
    if tried is chosen:
        bare = Rung(tried.name, tried.method, "chosen", choosing.gain(tried))
    measured = {
        "bytes": tried.size,
        "latency": _relative(baselines[0], tried.latency),
        "latency_32": _relative(baselines[1], tried.latency_32),
        "metrics": tried.judged.metrics,
        "distance": tried.judged.distance,
    }
    return msgspec.structs.replace(bare, **measured)


def _relative(baseline: float, latency: Latency) -> float:
    """Seconds as if the float graph had taken its least then too: the machine is not equally busy all the time."""
    return baseline * latency.after / latency.before


def _beaten(choosing: Choosing, tried: Tried, chosen: Tried | None) -> str:
    if chosen is None:
        return "it holds"
    if choosing.objective != "latency" and tried.size > chosen.size * ALIKE:
        return f"it holds, but {chosen.name!r} is smaller"
    faster = choosing.timed and _seconds(tried) > _seconds(chosen) * AS_FAST
    return f"it holds, but {chosen.name!r} is {'faster' if faster else 'nearer to the model itself'}"


def _seconds(tried: Tried) -> float:
    """Relative to the float graph's."""
    return tried.latency.after / tried.latency.before if tried.latency is not None else float("inf")
