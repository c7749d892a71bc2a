"""The version's own answers to mixed rows, some thousand at a time, which bounds the memory that a request takes."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.errors import DeadlineExceededError, NotExplainableError
from onnxlet.explain.interface import Subject, Target
from onnxlet.explain.players import Players
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    from onnxlet.explain.background import Background
    from onnxlet.explain.interface import Cancellation

MOST_ROWS = 4096
"""Rows that the model is asked about at once."""
MOST_NUMBERS = 2**20
"""Values of inputs that are mixed at once, and of outputs: some MB, a dozen where they are texts."""


class Evaluation:
    """Asks a version about rows of the players' signature, for one target. It counts how many they were."""

    def __init__(
        self,
        subject: Subject,
        players: Players,
        target: Target,
        due: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._subject = subject
        self._players = players
        self._output, self._columns = target.output, list(target.columns)
        self._due, self._cancellation = due, cancellation
        self.until: float | None = None
        """When the time that a request gave is over, by the monotonic clock."""
        self.count = 0
        values = max(1, sum(len(place.players) for place in players.places), len(self._output.columns))
        self.size = max(1, min(MOST_ROWS, MOST_NUMBERS // values, subject.steps.most_rows or MOST_ROWS))
        """How many rows are asked about at once."""

    def answers(self, rows: Tensors) -> Tensor:
        """The output's columns [rows, classes], float64. Raises NotExplainableError where one is no finite number."""
        return self._finite(self._all(rows))

    def background(self, background: Background) -> Tensor:
        """The same for the background's rows, which are asked about once for all requests."""
        return self._finite(background.answers(self._output.name, self._all))

    def mixed(self, row: Tensors, background: Tensors, known: Tensor, others: Tensor) -> Tensor:
        """The answers [M, classes] to rows that `Players.mix` makes."""
        return self._finite(
            self._in_parts(
                len(known),
                lambda start, stop: self._players.mix(row, background, known[start:stop], others[start:stop]),
            )
        )

    def check_time(self) -> None:
        """For methods that are exact, and give nothing by halves.

        Raises DeadlineExceededError once the answer is overdue, NotExplainableError once the time is over that the
        request gave.
        """
        now = monotonic()
        if self._due is not None and now > self._due:
            raise DeadlineExceededError("explaining took too long and was stopped: explain fewer rows per call")
        if self.until is not None and now > self.until:
            raise NotExplainableError(
                "explain: 'max_ms' was over before all rows were explained, and exact values are not given by halves: "
                "give more, explain fewer rows per call, or ask for the method 'sampled'"
            )

    def _all(self, rows: Tensors) -> Tensor:
        return self._in_parts(
            len(next(iter(rows.values()))),
            lambda start, stop: {name: tensor[start:stop] for name, tensor in rows.items()},
        )

    def _in_parts(self, total: int, part: Callable[[int, int], Tensors]) -> Tensor:
        """The whole output [total, columns]."""
        answers = np.empty((total, len(self._output.columns)))
        for start in range(0, total, self.size):
            stop = min(start + self.size, total)
            answers[start:stop] = self._ask(part(start, stop), stop - start)
        return answers

    def _ask(self, rows: Tensors, count: int) -> Tensor:
        name = self._output.name
        answer = self._subject.predict(
            rows, self._players.signature, [name], due=self._due, cancellation=self._cancellation
        )[name]
        self.count += count
        if answer.shape[:1] != (count,) or answer.size != count * len(self._output.columns):
            raise NotExplainableError(f"the output {name!r} does not have one entry for each row")
        return answer.reshape(count, -1)

    def _finite(self, answers: Tensor) -> Tensor:
        chosen: Tensor = answers[:, self._columns]
        if not np.isfinite(chosen).all():
            raise NotExplainableError(
                f"the output {self._output.name!r} is NaN or infinite for this row, or for one mixed of it and the "
                "background: differences from that say nothing"
            )
        return chosen
