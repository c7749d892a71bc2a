"""Abreast: predictions of one moment go side by side through reading, running and writing.

Each is run by itself and answered as it would be alone. But what a stage needs, code and model, is in the processor's
caches once the first has gone through it, so that eight at a time take little more than half of what they take in turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from time import perf_counter

from onnxlet.dataplane.messages import Request, Response
from onnxlet.local.pace import QUICK

Deliver = Callable[[Response | None], None]
"""Takes a request's answer; or the request back, unanswered (None), because its company turned out to be slow."""
Stages = Callable[[Request], Iterator[Response | None]]
"""Answers a request in stages: None after each but the last, which gives the answer. It raises nothing."""


class Taken:
    """A request on its way: `own` are the seconds that its stages took, without those of its company."""

    __slots__ = ("_deliver", "_stages", "own", "request", "response", "since")

    def __init__(self, request: Request, stages: Iterator[Response | None], deliver: Deliver) -> None:
        self.request = request
        self.response: Response | None = None
        self.own = 0.0
        self.since = perf_counter()
        self._stages = stages
        self._deliver = deliver

    def advance(self) -> None:
        """Go through the next stage."""
        started = perf_counter()
        self.response = next(self._stages)
        self.own += perf_counter() - started

    def deliver(self) -> None:
        """Hand over the answer, or the request if it has none."""
        try:
            self._deliver(self.response)
        except Exception:  # an outermost door: one connection's fault must not cost the others their answers
            logging.getLogger(__name__).exception("an answer could not be delivered")


class Abreast:
    """Takes requests while the event loop reads what has arrived, then answers them. For the loop's thread alone."""

    def __init__(self, stages: Stages, on_answer: Callable[[Taken, Response], None]) -> None:
        self._stages = stages
        self._on_answer = on_answer
        self._taken: list[Taken] = []
        self._expected = 0.0

    def take(self, request: Request, deliver: Deliver, expected: float) -> None:
        """Answer a request once the loop has read what else is there.

        `expected` are the seconds that it will take. Those before it are answered first if they all would hold up the
        loop longer than one may.
        """
        if self._expected + expected > QUICK:
            self.answer_taken()
        if not self._taken:
            asyncio.get_running_loop().call_soon(self.answer_taken)
        self._taken.append(Taken(request, self._stages(request), deliver))
        self._expected += expected

    def answer_taken(self) -> None:
        """Answer what was taken; when one takes longer than is allowed, hand back those that have no answer yet."""
        company, self._taken, self._expected = self._taken, [], 0.0
        under_way = company
        while under_way:
            slow = next(filter(_advanced_slowly, under_way), None)
            if slow is not None:
                while slow.response is None:
                    slow.advance()
                break
            under_way = [taken for taken in under_way if taken.response is None]
        for taken in company:  # before any is handed back, so that it is judged by what was learned
            if taken.response is not None:
                self._on_answer(taken, taken.response)
        for taken in company:
            taken.deliver()


def _advanced_slowly(taken: Taken) -> bool:
    taken.advance()
    return taken.own > QUICK
