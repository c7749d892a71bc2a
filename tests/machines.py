"""The state machine of infra/, played by the simulator with the functions' own steps over a store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from onnxlet.batch.large.steps import Steps
from onnxlet.jobs.orders import Order
from onnxlet.local.step_functions import Surroundings, simulate
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store

DEFINITION = json.loads((Path(__file__).parents[1] / "infra" / "scoring.asl.json").read_text())
MINUTES_LEFT = 5


class KilledFunctionError(Exception):
    """What Step Functions sees of a function whose process was killed."""


@dataclass
class Machine:
    """Runs orders; `before` and `after` are told each event around its step, and may raise. Counts the steps."""

    store: Store
    predictor: Predictor
    before: Callable[[dict[str, Any]], None] = lambda _event: None
    after: Callable[[dict[str, Any]], None] = lambda _event: None
    seconds_left: Callable[[], float] = lambda: 60.0 * MINUTES_LEFT
    at_once: int = 1
    events: list[dict[str, Any]] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)

    def run(self, order: Order) -> Any:  # noqa: ANN401 - JSON
        """The output of an execution."""
        functions = {f"${{{name}Function}}": self._take for name in ("Plan", "Score", "Finish")}
        surroundings = Surroundings(functions, self._read, self.events.extend, at_once=self.at_once)
        return simulate(DEFINITION, msgspec.to_builtins(order), surroundings)

    def _take(self, event: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        self.taken[event["step"]] += 1
        self.before(event)
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: 1000 * self.seconds_left())
        answer = Steps(self.store, self.predictor, Settings(store=self.store.url)).take(event, context)
        self.after(event)
        return answer

    def _read(self, bucket: str, key: str) -> bytes:
        prefix = self.store.url.removeprefix(f"s3://{bucket}").removeprefix("/") if bucket in self.store.url else ""
        inside = key.removeprefix(f"{prefix}/") if self.store.url.startswith("s3://") else key
        return self.store.get(inside).data
