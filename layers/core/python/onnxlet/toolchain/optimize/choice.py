"""The choice: what the rows that choose take of the candidates, and what most folds take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxlet.toolchain.optimize.candidates import Candidate, Judge
from onnxlet.toolchain.optimize.selection import Selection
from onnxlet.toolchain.optimize.split import Fold
from onnxlet.values.tensors import Tensor


@dataclass(frozen=True)
class Choice:
    """What the rows outside of one fold tried and chose; None: the graph stays as it is."""

    fold: Fold
    judge: Judge
    candidates: Sequence[Candidate]
    chosen: Candidate | None

    @property
    def key(self) -> tuple[str, tuple[str, ...]] | None:
        """What the same choice of other folds has as well."""
        return None if self.chosen is None else (self.chosen.name, self.chosen.keep)


@dataclass(frozen=True)
class Agreement:
    """The folds that chose alike, the first one's choice, and what the others chose."""

    choice: Choice
    agreeing: int
    judging: Tensor
    """The positions of the rows that had no part in this choice: those of the folds that agree."""


def find_agreement(choices: Sequence[Choice]) -> Agreement | None:
    """What more than half of the folds chose; None if there is no such candidate."""
    key, count = Counter(choice.key for choice in choices).most_common(1)[0]
    if 2 * count <= len(choices):
        return None
    alike = [choice for choice in choices if choice.key == key]
    return Agreement(alike[0], count, np.sort(np.concatenate([choice.fold.judging for choice in alike])))


def explain_choice(selection: Selection, choice: Choice, rows: str) -> str:
    """Why this candidate was chosen, judged on `rows`, or why there is none."""
    chosen = choice.chosen
    if chosen is None:
        return "; ".join(f"{each.name}: {selection.reason_against(each)}" for each in choice.candidates)
    moved = "" if chosen.judgement is None else f", answers move by up to {chosen.judgement.distance:.2g}"
    held = "the contract holds" if choice.judge.knows_model else "answers stay within bounds of the float graph's"
    return f"{chosen.name}: {selection.describe_gain(chosen)}; {held} on {rows}{moved}"


def explain_disagreement(choices: Sequence[Choice]) -> str:
    """That no graph is what most folds chose."""
    names = Counter("none" if choice.chosen is None else choice.chosen.name for choice in choices)
    votes = ", ".join(f"{name} ({count})" for name, count in names.most_common())
    return f"of {len(choices)} splits of the rows no three choose the same: {votes}; give more --data"
