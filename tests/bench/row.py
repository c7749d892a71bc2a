"""One line of the table, and how measurements are taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ROUNDS = 5


@dataclass
class Row:
    """A measured figure beside its budget (a ceiling, or a floor where `at_least`)."""

    row: int
    name: str
    value: float
    budget: float
    unit: str
    at_least: bool = False
    parts: dict[str, float | str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the budget is kept."""
        return self.value >= self.budget if self.at_least else self.value <= self.budget

    def document(self) -> dict[str, object]:
        """The row as bench.json has it."""
        return {
            "row": self.row,
            "name": self.name,
            "value": round(self.value, 4),
            "budget": self.budget,
            "unit": self.unit,
            "ok": self.ok,
            "parts": {key: round(part, 4) if isinstance(part, float) else part for key, part in self.parts.items()},
        }


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """The best of `rounds` of each contender, taken in turn so that all see the same machine."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, measure in contenders.items():
            best[name] = min(best[name], measure())
    return best


SPELL = 50
"""Calls after which others may do their work."""


def _nothing() -> None:
    """Nobody has any."""


def quantiles(call: Callable[[], object], calls: int, between: Callable[[], object] = _nothing) -> tuple[float, float]:
    """Median and 99th percentile of `calls` calls, in seconds, after a warm-up of a tenth as many.

    `between` is called after every SPELL calls, and not measured.
    """
    for _ in range(calls // 10 + 1):
        call()
    between()
    clock = time.perf_counter
    samples = []
    for number in range(calls):
        started = clock()
        call()
        samples.append(clock() - started)
        if number % SPELL == 0:
            between()
    samples.sort()
    return samples[calls // 2], samples[calls * 99 // 100]
