"""Sampled Shapley values: antithetic permutations of the players, each pair against one row of the background.

A pair is a permutation and its reverse. Permutations are rows of random Latin squares, so that each player comes to
each place equally often, and rows of the background are taken in turns. The interval is Student's, of the means of
pairs: squares and turns make it a little too wide, never too narrow.

Source: Castro, Gomez, Tejada, "Polynomial calculation of the Shapley value based on sampling", 2009; Mitchell, Cooper,
Frank, Holmes, "Sampling permutations for Shapley value estimation", 2022 (antithetic pairs).
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.explain.evaluation import Evaluation
from onnxlet.explain.interface import Attributions, Planning, Target
from onnxlet.explain.request import MOST_EVALUATIONS, Budget
from onnxlet.values.tensors import Tensor, Tensors

PAIRS = 100
"""Pairs of permutations for a row, unless a request says how many evaluations there may be."""
RELIABLE_PAIRS = 34
"""Below this the 95 % interval does not hold what it says (measured: 92.5 % of cases at 10 pairs)."""
FEWEST_PAIRS = 2
_Z = 1.959963984540054
"""The standard normal distribution's 97.5 % quantile."""


def plan(planning: Planning) -> Sampled:
    """The method for a version."""
    return Sampled(planning)


class Sampled:
    """Permutations of the players of one version."""

    nbytes = 0

    def __init__(self, planning: Planning) -> None:
        self._background = planning.background
        self._players = len(planning.players)
        self._pair = max(1, 2 * (self._players - 1))
        """Evaluations of a pair: its ends, nothing and everything known, are asked about once."""

    def refusal(self, target: Target, budget: Budget) -> str:  # noqa: ARG002 - any model will do
        """Nothing is too much."""
        return ""

    def cost(self, budget: Budget) -> int:
        """Of each pair of permutations, and the row itself. Raises as `explain`."""
        return self._most_pairs(budget) * self._pair + 1

    def explain(self, rows: Tensors, target: Target, budget: Budget, evaluation: Evaluation) -> Attributions:
        """Explain each row by itself, with the same permutations: how a row is explained does not depend on others.

        Raises InvalidInputError for a budget of less than two pairs.
        """
        most = self._most_pairs(budget)
        background = self._background.rows()
        predictions = evaluation.answers(rows)
        nothing = evaluation.background(self._background)
        expected = nothing.mean(axis=0)
        shape = (len(predictions), self._players, len(target.columns))
        values, half = np.empty(shape), np.empty(shape)
        residual = np.empty_like(predictions)
        pairs = most
        for number, prediction in enumerate(predictions):
            row = {name: tensor[number : number + 1] for name, tensor in rows.items()}
            sums = self._sample(row, background, (nothing, prediction), most, budget, evaluation)
            error = sums.standard_error()
            residual[number] = prediction - expected - sums.mean.sum(axis=0)
            values[number] = sums.mean + _spread(residual[number], error)
            half[number] = student(sums.count - 1) * error
            pairs = min(pairs, sums.count)
        return Attributions(
            values=values,
            expected=expected,
            predictions=predictions,
            output=target.output.name,
            unit=target.output.unit,
            background=True,
            seed=budget.seed,
            interval=half,
            residual=residual,
            pairs=pairs,
            unreliable=pairs < RELIABLE_PAIRS,
        )

    def _most_pairs(self, budget: Budget) -> int:
        if budget.evaluations is None:
            return max(FEWEST_PAIRS, min(PAIRS, MOST_EVALUATIONS // self._pair))
        pairs = budget.evaluations // self._pair
        if pairs < FEWEST_PAIRS:
            raise InvalidInputError(
                f"explain: 'max_evaluations' must be at least {FEWEST_PAIRS * self._pair:,} for {self._players} "
                f"players, and {RELIABLE_PAIRS * self._pair:,} for an interval that holds"
            )
        return pairs

    def _sample(  # noqa: PLR0917 - one row's loop
        self,
        row: Tensors,
        background: Tensors,
        ends: tuple[Tensor, Tensor],
        most: int,
        budget: Budget,
        evaluation: Evaluation,
    ) -> Sums:
        """Means over pairs, of as many as evaluations and time allow."""
        random = np.random.default_rng(budget.seed)
        until = budget.next_row()
        size = max(1, evaluation.size // self._pair)
        places, others = Places(random, self._players), _Turns(random, self._background.count)
        sums = Sums()
        while sums.count < most:
            late = until is not None and monotonic() >= until
            if late and sums.count >= FEWEST_PAIRS:
                break
            count = min(FEWEST_PAIRS if late else size, most - sums.count)
            chosen = others.take(count)
            each = np.repeat(chosen, self._pair)
            sums.add(
                pair_means(
                    places.take(count),
                    (ends[0][chosen], ends[1]),
                    lambda known, each=each: evaluation.mixed(row, background, known, each),  # type: ignore[misc]
                )
            )
        return sums


def pair_means(places: Tensor, ends: tuple[Tensor, Tensor], ask: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean gain [pairs, players, classes] of each permutation and its reverse.

    `places` [pairs, players] are those of the players. `ends` are the answers where nothing is known [pairs, classes]
    and where everything is [classes]; `ask` gives those [M, classes] where `known` [M, players] are, of one pair after
    the other.
    """
    pairs, players = places.shape
    inner = np.arange(1, players)
    nothing, everything = ends
    steps = np.empty((pairs, 2, players + 1, len(everything)))
    steps[:, :, 0], steps[:, :, -1] = nothing[:, None], everything
    if len(inner):
        forward = places[:, None, :] < inner[:, None]
        # the first t of the reverse are those that are not among the first players - t
        known = np.concatenate([forward, ~forward[:, ::-1]], axis=1).reshape(-1, players)
        steps[:, :, 1:-1] = ask(known).reshape(pairs, 2, len(inner), -1)
    gains = np.diff(steps, axis=2)
    index = places[:, :, None]
    there = np.take_along_axis(gains[:, 0], index, axis=1)
    back = np.take_along_axis(gains[:, 1], players - 1 - index, axis=1)
    mean: Tensor = (there + back) / 2
    return mean


class Sums:
    """Mean and spread of what is added in blocks. Source: Chan, Golub, LeVeque, 1983."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor = np.zeros(())
        self._squares: Tensor = np.zeros(())

    def add(self, block: Tensor) -> None:
        """Add the entries of the first dimension."""
        count, mean = len(block), block.mean(axis=0)
        shift, total = mean - self.mean, self.count + count
        self._squares = self._squares + ((block - mean) ** 2).sum(axis=0) + shift**2 * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def standard_error(self) -> Tensor:
        """Of the mean."""
        error: Tensor = np.sqrt(self._squares / (self.count - 1) / self.count)
        return error


class Places:
    """Permutations: the place of each player in each, rows of one random Latin square after the other."""

    def __init__(self, random: np.random.Generator, players: int) -> None:
        self._random, self._players = random, players
        self._left = np.empty((0, players), dtype=np.intp)

    def take(self, count: int) -> Tensor:
        """The next ones [count, players]."""
        while len(self._left) < count:
            self._left = np.concatenate([self._left, self._square()])
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def _square(self) -> Tensor:
        rows, columns, symbols = (self._random.permutation(self._players) for _ in range(3))
        square: Tensor = symbols[(rows[:, None] + columns) % self._players]
        return square


class _Turns:
    """Rows of the background: all of them in one order, then all in another, and so on."""

    def __init__(self, random: np.random.Generator, rows: int) -> None:
        self._random, self._rows = random, rows
        self._left = np.empty(0, dtype=np.intp)

    def take(self, count: int) -> Tensor:
        """The next ones [count]."""
        while len(self._left) < count:
            self._left = np.concatenate([self._left, self._random.permutation(self._rows)])
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def _spread(residual: Tensor, error: Tensor) -> Tensor:
    """What is lacking from the sum [classes], laid on the players [players, classes] that are known least: in
    proportion to their variances, which changes the estimates least by that measure; alike where none varies.
    """
    variances = error**2
    total = variances.sum(axis=0)
    shares = np.where(total > 0, variances, 1.0) / np.where(total > 0, total, len(variances))
    lacking: Tensor = shares * residual
    return lacking


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: exact for 1 and 2 degrees of freedom, else within 0.2 %.

    Source: Abramowitz and Stegun, 26.7.5.
    """
    if freedom == 1:
        return 12.706204736432095
    if freedom == 2:  # noqa: PLR2004 - its quantile has a formula of its own
        return 4.302652729911275
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))
