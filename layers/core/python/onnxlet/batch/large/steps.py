"""What the state machine asks of the functions: `{"step": …}` with what that step needs. See infra/scoring.asl.json."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from onnxlet.batch.large.finishing import finish
from onnxlet.batch.large.opening import open_order
from onnxlet.batch.large.scanning import plan_sections, scan_stretch
from onnxlet.batch.large.sections import Task, score_section
from onnxlet.errors import InvalidInputError
from onnxlet.jobs.orders import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onnxlet.serving.predictor import Predictor
    from onnxlet.settings import Settings
    from onnxlet.store import Store

SPARE_SECONDS = 20.0
"""Seconds that writing what was scored may take."""


class Deadline:
    """Whether time is nearly up: called now and then, it keeps twice as much as passed between two calls in reserve."""

    def __init__(self, remaining: Callable[[], float], spare: float = SPARE_SECONDS) -> None:
        self._remaining = remaining
        self._spare = spare
        self._last = time.monotonic()
        self._longest = 0.0

    def __call__(self) -> bool:
        """Whether to stop."""
        now = time.monotonic()
        self._longest, self._last = max(self._longest, now - self._last), now
        return self._remaining() < self._spare + 2 * self._longest


def deadline_of(context: Any) -> Deadline:  # noqa: ANN401 - Lambda's
    """The deadline of an invocation."""
    return Deadline(lambda: context.get_remaining_time_in_millis() / 1000)


class Steps:
    """The steps, over a store and a predictor."""

    def __init__(self, store: Store, predictor: Predictor, settings: Settings) -> None:
        self._store = store
        self._predictor = predictor
        self._concurrency = settings.section_concurrency

    def take(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Do the step that an event asks for: what comes next. Raises InvalidInputError if it asks for none."""
        steps = {
            "open": self._open,
            "scan": self._scan,
            "plan": self._plan,
            "section": self._section,
            "finish": self._finish,
        }
        try:
            step = steps[event["step"]]
        except (KeyError, TypeError) as error:
            raise InvalidInputError(f"the event has no step: {', '.join(steps)} are known") from error
        try:
            return step(event, deadline_of(context))
        except (msgspec.ValidationError, KeyError) as error:
            raise InvalidInputError(f"the step {event['step']!r} lacks what it needs: {error}") from error

    def _open(self, event: Mapping[str, Any], _: Deadline) -> dict[str, Any]:
        return self._go_on(event, open_order(self._store, self._predictor, msgspec.convert(event["order"], Order)))

    def _scan(self, event: Mapping[str, Any], _: Deadline) -> dict[str, Any]:
        scan_stretch(self._store, event["work"], event["stretch"])
        return {}

    def _plan(self, event: Mapping[str, Any], _: Deadline) -> dict[str, Any]:
        return self._go_on(event, plan_sections(self._store, event["work"]))

    def _section(self, event: Mapping[str, Any], out_of_time: Deadline) -> dict[str, Any]:
        return score_section(self._store, self._predictor, msgspec.convert(event, Task), out_of_time)

    def _finish(self, event: Mapping[str, Any], out_of_time: Deadline) -> dict[str, Any]:
        return self._go_on(event, finish(self._store, self._predictor, event["work"], event["round"], out_of_time))

    def _go_on(self, event: Mapping[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        """A step's answer, with what all later steps need."""
        return {"order": event["order"], "concurrency": self._concurrency, **state}
