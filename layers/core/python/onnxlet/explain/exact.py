"""Exact Shapley values by asking about all coalitions of players, against each row of the background.

Source: Shapley, "A value for n-person games", 1953; the value of a coalition is the mean answer over the background, as
in Lundberg and Lee, "A unified approach to interpreting model predictions", 2017 (its interventional form).
"""

from __future__ import annotations

from math import factorial

import numpy as np

from onnxlet.explain.evaluation import Evaluation
from onnxlet.explain.interface import Attributions, Planning, Target
from onnxlet.explain.request import Budget
from onnxlet.values.tensors import Tensor, Tensors

MOST_EVALUATIONS = 2**15
"""Evaluations of a row, unless a request allows more: 8 players against 100 rows."""
MOST_MEMBERS = 2**21
"""Entries of the tables of coalitions and players, and of coalitions and classes: 16 MB each."""


def plan(planning: Planning) -> Exact:
    """The method for a version."""
    return Exact(planning)


class Exact:
    """All coalitions of the players of one version."""

    nbytes = 0

    def __init__(self, planning: Planning) -> None:
        self._background = planning.background
        self._players = len(planning.players)

    def refusal(self, target: Target, budget: Budget) -> str:
        """Too many coalitions."""
        needed = 2**self._players * self._background.count
        allowed = budget.evaluations or MOST_EVALUATIONS
        members = 2**self._players * max(self._players, len(target.columns))
        if needed > allowed or members > MOST_MEMBERS:
            return (
                f"{self._players} players have {2**self._players:,} coalitions, which against "
                f"{self._background.count} rows of the background take more than {allowed:,} evaluations a row: "
                "sample, or allow more"
            )
        return ""

    def cost(self, budget: Budget) -> int:  # noqa: ARG002 - all coalitions are asked about
        """Each coalition, against each row of the background; and the row itself."""
        return int(2**self._players) * self._background.count + 1

    def explain(self, rows: Tensors, target: Target, budget: Budget, evaluation: Evaluation) -> Attributions:  # noqa: ARG002
        """Explain each row by itself."""
        background = self._background.rows()
        predictions = evaluation.answers(rows)
        expected = evaluation.background(self._background).mean(axis=0)
        known = coalitions(self._players)
        values = np.empty((len(predictions), self._players, len(target.columns)))
        for number, prediction in enumerate(predictions):
            row = {name: tensor[number : number + 1] for name, tensor in rows.items()}
            worth = self._worth(row, background, known, evaluation)
            worth[0], worth[-1] = expected, prediction
            values[number] = shapley(worth, known)
        return Attributions(
            values=values,
            expected=expected,
            predictions=predictions,
            output=target.output.name,
            unit=target.output.unit,
            background=True,
        )

    def _worth(self, row: Tensors, background: Tensors, known: Tensor, evaluation: Evaluation) -> Tensor:
        """The mean answer [coalitions, classes] where the players in the coalition are known."""
        count = self._background.count
        step = max(1, evaluation.size // count)
        parts = []
        for start in range(0, len(known), step):
            evaluation.check_time()
            some = known[start : start + step]
            others = np.tile(np.arange(count), len(some))
            answers = evaluation.mixed(row, background, np.repeat(some, count, axis=0), others)
            parts.append(answers.reshape(len(some), count, -1).mean(axis=1))
        return np.concatenate(parts)


def coalitions(players: int) -> Tensor:
    """All of them [2**players, players]: player p is in number n if its bit p is set."""
    known: Tensor = (np.arange(2**players)[:, None] >> np.arange(players)) & 1 == 1
    return known


def shapley(worth: Tensor, known: Tensor) -> Tensor:
    """The Shapley values [players, classes] for the worth [coalitions, classes]."""
    players = known.shape[1]
    weights = np.array([factorial(n) * factorial(players - 1 - n) / factorial(players) for n in range(players)])
    sizes = known.sum(axis=1)
    numbers = np.arange(len(known))
    values = np.empty((players, worth.shape[1]))
    for player in range(players):
        without = numbers[~known[:, player]]
        gain = worth[without | (1 << player)] - worth[without]
        values[player] = weights[sizes[without]] @ gain
    return values
