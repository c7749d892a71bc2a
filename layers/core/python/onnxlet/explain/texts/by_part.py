"""The parts of one text as players: exact where they are few, else sampled, against the text without any.

There is no background: the expected value is the answer to the row with an empty text. Parts are named by their offsets
in the text, in characters: `12:17`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress
from time import monotonic
from typing import NamedTuple

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.explain.evaluation import Evaluation
from onnxlet.explain.exact import coalitions, shapley
from onnxlet.explain.interface import Attributions, Planning, Target
from onnxlet.explain.request import Budget
from onnxlet.explain.sampled import FEWEST_PAIRS, RELIABLE_PAIRS, Places, Sums, pair_means, student
from onnxlet.values.tensors import Tensor, Tensors

MOST_PARTS = 400
MOST_EXACT = 8
"""Parts up to which all coalitions are asked about."""
EVALUATIONS = 4_000
"""Of the model, unless a request says otherwise."""
PAIRS = 100
AT_ONCE = 32
"""Coalitions between two looks at the clock."""
MOST_CHARACTERS = 2**22
"""Characters of the texts that are made of one at once."""

Span = tuple[int, int]
Split = Callable[[str], list[Span]]
"""The parts of a text, in its order. Raises InvalidInputError for a text that cannot be taken apart."""


class ByPart:
    """The text of one column of a version, taken apart."""

    nbytes = 0

    def __init__(self, planning: Planning, split: Split, *, glued: bool = False) -> None:
        """`glued`: parts may be within words, so that what is known stands as it stood, spaces and all."""
        signature = planning.subject.signatures[planning.players.signature]
        self._texts = [spec.name for spec in signature.inputs if spec.type.kind == "s"]
        self._split, self._glued = split, glued

    def refusal(self, target: Target, budget: Budget) -> str:  # noqa: ARG002 - any output will do
        """No text, or several."""
        if len(self._texts) == 1:
            return ""
        return "the model takes no text" if not self._texts else "the model has several columns of texts"

    def cost(self, budget: Budget) -> int:
        """What a request allows, and the text with all of its parts and with none."""
        return (budget.evaluations or EVALUATIONS) + 2

    def explain(self, rows: Tensors, target: Target, budget: Budget, evaluation: Evaluation) -> Attributions:
        """Explain one row, or none, whose expected value nobody knows: NaN.

        Raises InvalidInputError for several, and for a text of too many parts or none.
        """
        count = len(next(iter(rows.values())))
        if not count:
            classes = len(target.columns)
            return Attributions(
                values=np.empty((0, 0, classes)),
                expected=np.full(classes, np.nan),
                predictions=np.empty((0, classes)),
                output=target.output.name,
                unit=target.output.unit,
                background=False,
                players=(),
            )
        if count != 1:
            raise InvalidInputError(f"texts are explained part by part one row at a time, and there are {count} rows")
        text = str(rows[self._texts[0]][0])
        spans = self._split(text)
        if not 0 < len(spans) <= MOST_PARTS:
            raise InvalidInputError(f"the text has {len(spans)} parts, and 1 to {MOST_PARTS} can be explained")
        game = _Game(rows, self._texts[0], _parted(text, spans, glued=self._glued), evaluation)
        nothing, everything = game.worth(np.array([[False] * len(spans), [True] * len(spans)]))
        found = Attributions(
            values=np.zeros((1, len(spans), len(nothing))),
            expected=nothing,
            predictions=everything[None],
            output=target.output.name,
            unit=target.output.unit,
            background=False,
            players=tuple(f"{start}:{stop}" for start, stop in spans),
        )
        if len(spans) <= MOST_EXACT:
            known = coalitions(len(spans))
            return msgspec.structs.replace(found, values=shapley(game.worth_in_time(known), known)[None])
        sums = _sample(game, nothing, everything, budget)
        return msgspec.structs.replace(
            found,
            values=sums.mean[None],
            interval=(student(sums.count - 1) * sums.standard_error())[None],
            residual=(everything - nothing - sums.mean.sum(axis=0))[None],
            seed=budget.seed,
            pairs=sums.count,
            unreliable=sums.count < RELIABLE_PAIRS,
        )


class _Parted(NamedTuple):
    """A text, its parts, and what stands between two that are known."""

    text: str
    parts: list[str]
    between: str


def _parted(text: str, spans: list[Span], *, glued: bool) -> _Parted:
    if not glued:
        return _Parted(text, [text[start:stop] for start, stop in spans], " ")
    ends = [*(start for start, _ in spans[1:]), len(text)]
    return _Parted(text, [text[start:end] for (start, _), end in zip(spans, ends, strict=True)], "")


class _Game:
    """What is answered where some parts of a text are known, and the others taken out."""

    def __init__(self, row: Tensors, column: str, parted: _Parted, evaluation: Evaluation) -> None:
        self._row, self._column, self._evaluation = row, column, evaluation
        self._text, self._parts, self._between = parted
        self.players = len(self._parts)

    def worth(self, known: Tensor) -> Tensor:
        """The answers [M, classes] for `known` [M, parts]. The whole text is left as it is."""
        step = max(1, MOST_CHARACTERS // max(1, len(self._text)))
        return np.concatenate([self._ask(known[start : start + step]) for start in range(0, len(known), step)])

    def worth_in_time(self, known: Tensor) -> Tensor:
        """The same, while there is time. Raises NotExplainableError, DeadlineExceededError when there is none."""
        answers = []
        for start in range(0, len(known), AT_ONCE):
            self._evaluation.check_time()
            answers.append(self.worth(known[start : start + AT_ONCE]))
        return np.concatenate(answers)

    def _ask(self, known: Tensor) -> Tensor:
        texts = np.empty(len(known), dtype=object)
        texts[:] = [
            self._text if mask.all() else self._between.join(compress(self._parts, mask)).strip() for mask in known
        ]
        rows = {name: np.repeat(tensor, len(known), axis=0) for name, tensor in self._row.items()}
        return self._evaluation.answers(rows | {self._column: texts})


def _sample(game: _Game, nothing: Tensor, everything: Tensor, budget: Budget) -> Sums:
    """Means over pairs, each by itself, of as many as evaluations and time allow."""
    random = np.random.default_rng(budget.seed)
    players = game.players
    most = (budget.evaluations or EVALUATIONS) // (2 * (players - 1))
    most = max(FEWEST_PAIRS, most if budget.evaluations else min(PAIRS, most))
    places, sums, until = Places(random, players), Sums(), budget.next_row()
    while sums.count < most and not (until is not None and sums.count >= FEWEST_PAIRS and monotonic() >= until):
        sums.add(pair_means(places.take(1), (nothing[None], everything), game.worth))
    return sums
