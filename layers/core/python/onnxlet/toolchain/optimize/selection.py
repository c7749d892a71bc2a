"""Selection: the smallest candidate, the fastest, or the smallest that is not slower than the float graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from onnxlet.toolchain.optimize.candidates import Candidate, Judge
from onnxlet.toolchain.optimize.latency import Latency
from onnxlet.values.optimization import Rung

Objective = Literal["smallest-not-slower", "size", "latency"]
WORTHWHILE = 0.9
"""The largest share of the bytes, or of the latency, that may be left."""
ALIKE = 1.05
"""Candidates of at most so many times the smallest one's bytes are told apart by latency."""
AS_FAST = 1.1
"""Candidates of at most so many times the fastest one's latency are told apart by their answers' distance."""


@dataclass(frozen=True)
class Selection:
    """How candidates are chosen. `timed` says whether latencies count: not those of another kind of processor."""

    objective: Objective
    float_size: int
    timed: bool

    def choose(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """The best acceptable candidate; None if there is none."""
        good = [each for each in candidates if not self.reason_against(each)]
        if not good:
            return None
        if self.objective != "latency":
            smallest = min(each.size for each in good)
            good = [each for each in good if each.size <= smallest * ALIKE]
        if self.timed:
            fastest = min(map(_seconds, good))
            good = [each for each in good if _seconds(each) <= fastest * AS_FAST]
        return min(good, key=lambda each: each.judgement.distance if each.judgement else 0.0)

    def reason_against(self, candidate: Candidate) -> str:
        """Why a candidate may not be chosen; empty if it may."""
        if candidate.broken or candidate.judgement is None or candidate.latency is None:
            return candidate.broken or "it was not measured"
        if candidate.judgement.breach:
            return candidate.judgement.breach
        share = candidate.size / self.float_size
        if share > (1.0 if self.objective == "latency" else WORTHWHILE):
            return f"the graph keeps {share:.0%} of its bytes"
        latency = candidate.latency
        if self.objective == "latency" and latency.after > latency.before * WORTHWHILE:
            return f"it is not faster: {latency}"
        if self.objective == "smallest-not-slower" and self.timed and latency.slower:
            return f"it is slower: {latency}"
        return ""

    def describe_gain(self, candidate: Candidate) -> str:
        """What a candidate gains, in words."""
        words = f"{1 - candidate.size / self.float_size:.0%} smaller, {candidate.latency}"
        return words if self.timed else f"{words} on this machine, which is of another kind"


def record_rungs(
    judge: Judge, selection: Selection, candidates: Sequence[Candidate], chosen: Candidate | None
) -> tuple[Rung, ...]:
    """The rungs to record: the float graph and every candidate."""
    judgement, bench = judge.judge_float_graph(), judge.bench
    baselines = (
        min([bench.latency.before, *(each.latency.before for each in candidates if each.latency)]),
        min([bench.latency_32.before, *(each.latency_32.before for each in candidates if each.latency_32)]),
    )
    kept = "holds the contract" if judge.knows_model else "stays within bounds of it"
    better = f"{chosen.name!r} is better" if chosen else f"nothing better {kept}"
    plain = Rung(
        name="float, optimized offline",
        method="none",
        outcome="passed" if chosen else "chosen",
        reason=f"{better}, nor does it itself: {judgement.breach}" if judgement.breach and not chosen else better,
        bytes=selection.float_size,
        latency=baselines[0],
        latency_32=baselines[1],
        metrics=judgement.metrics,
        distance=judgement.distance,
    )
    return (plain, *(_rung(baselines, selection, each, chosen) for each in candidates))


def _rung(baselines: tuple[float, float], selection: Selection, candidate: Candidate, chosen: Candidate | None) -> Rung:
    reason_against = selection.reason_against(candidate)
    bare = Rung(
        candidate.name, candidate.method, "skipped" if candidate.name == candidate.method else "refused", reason_against
    )
    if candidate.judgement is None or candidate.latency is None or candidate.latency_32 is None:
        return bare
    if not reason_against:
        bare = Rung(candidate.name, candidate.method, "passed", _explain_beaten(selection, candidate, chosen))
    if candidate is chosen:
        bare = Rung(candidate.name, candidate.method, "chosen", selection.describe_gain(candidate))
    measured = {
        "bytes": candidate.size,
        "latency": _scale_seconds(baselines[0], candidate.latency),
        "latency_32": _scale_seconds(baselines[1], candidate.latency_32),
        "metrics": candidate.judgement.metrics,
        "distance": candidate.judgement.distance,
    }
    return msgspec.structs.replace(bare, **measured)


def _scale_seconds(baseline: float, latency: Latency) -> float:
    """Seconds scaled to the float graph's fastest run, as the machine is not equally busy all the time."""
    return baseline * latency.after / latency.before


def _explain_beaten(selection: Selection, candidate: Candidate, chosen: Candidate | None) -> str:
    if chosen is None:
        return "it holds"
    if selection.objective != "latency" and candidate.size > chosen.size * ALIKE:
        return f"it holds, but {chosen.name!r} is smaller"
    faster = selection.timed and _seconds(candidate) > _seconds(chosen) * AS_FAST
    return f"it holds, but {chosen.name!r} is {'faster' if faster else 'nearer to the model itself'}"


def _seconds(candidate: Candidate) -> float:
    """Relative to the float graph's."""
    return candidate.latency.after / candidate.latency.before if candidate.latency is not None else float("inf")
