"""Abreast: predictions of one moment go side by side through reading, running and writing.

Each is run by itself and answered as it would be alone. But what a stage needs, code and model, is in the processor's
caches once the first has gone through it, so that eight at a time take little more than half of what they take in turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from time import perf_counter

from onnxlet.local.pace import QUICK
from onnxlet.messages import Request, Response

Deliver = Callable[[Response], None]
Stages = Callable[[Request], Iterator[Response | None]]
OnAnswer = Callable[[Request, Response, float], None]


class _Taken:
    """A request on its way. `seconds` are its own, without those of its company."""

    __slots__ = ("deliver", "request", "response", "seconds", "stages")

    def __init__(self, request: Request, stages: Iterator[Response | None], deliver: Deliver) -> None:
        self.request = request
        self.stages = stages
        self.deliver = deliver
        self.response: Response | None = None
        self.seconds = 0.0


class Abreast:
    """Takes requests while the event loop reads what has arrived, then answers them. For the loop's thread alone."""

    def __init__(self, stages: Stages, on_answer: OnAnswer) -> None:
        self._stages = stages
        self._on_answer = on_answer
        self._taken: list[_Taken] = []
        self._expected = 0.0

    def take(self, request: Request, deliver: Deliver, expected: float) -> None:
        """Answer a request as soon as the loop has read what else is there, or enough was taken.

        All that are taken together shall hold up the loop no longer than one may: `expected` is this one's seconds.
        """
        if not self._taken:
            asyncio.get_running_loop().call_soon(self.answer_taken)
        self._taken.append(_Taken(request, self._stages(request), deliver))
        self._expected += expected
        if self._expected >= QUICK:
            self.answer_taken()

    def answer_taken(self) -> None:
        """Answer what was taken."""
        company, self._taken, self._expected = self._taken, [], 0.0
        under_way = company
        while under_way:
            under_way = [taken for taken in under_way if _advanced(taken) is None]
        for taken in company:
            if taken.response is not None:
                self._on_answer(taken.request, taken.response, taken.seconds)
                _deliver(taken.deliver, taken.response)


def _advanced(taken: _Taken) -> Response | None:
    started = perf_counter()
    taken.response = next(taken.stages)
    taken.seconds += perf_counter() - started
    return taken.response


def _deliver(deliver: Deliver, response: Response) -> None:
    try:
        deliver(response)
    except Exception:  # an outermost door: one connection's fault must not cost the others their answers
        logging.getLogger(__name__).exception("an answer could not be delivered")
