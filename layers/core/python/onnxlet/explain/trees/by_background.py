"""The method `trees-interventional`: exact values against the background, in raw output or in what is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxlet.explain.interface import Attributions, Planning, Target
from onnxlet.explain.trees.interventional import MOST_WIDTH, Interventional, widest_path
from onnxlet.explain.trees.links import Link, served_of
from onnxlet.explain.trees.method import Trees

if TYPE_CHECKING:
    from onnxlet.explain.evaluation import Evaluation
    from onnxlet.explain.request import Budget
    from onnxlet.values.tensors import Tensor, Tensors

_NEAR = 1e-9
"""Raw outputs that are nearer to each other than this have the slope of the link itself."""


def plan(planning: Planning) -> ByBackground:
    """The method for a version."""
    return ByBackground(planning)


class ByBackground:
    """The trees of one version, against the rows of its background."""

    def __init__(self, planning: Planning) -> None:
        self._trees = trees = Trees(planning)
        self._explained: Interventional | None = None
        if widest_path(trees.ensemble, trees.players) <= MOST_WIDTH:
            background = trees.matrix(planning.background.rows())
            self._explained = Interventional(trees.ensemble, trees.players, trees.count, background)

    @property
    def nbytes(self) -> int:
        """Bytes of its masks."""
        return self._trees.ensemble.nbytes + (0 if self._explained is None else self._explained.nbytes)

    def refusal(self, target: Target, budget: Budget) -> str:  # noqa: ARG002 - it is exact, and takes what it takes
        """Paths that are too wide, an output that does not follow, a scale that is no function of one raw output."""
        if self._explained is None:
            return f"a path in its trees asks about more than {MOST_WIDTH} columns"
        reason = self._trees.refusal(target)
        if not reason and target.scale == "output" and self._trees.link(target).slope is None:
            return (
                f"each column of {target.output.name!r} hangs on the raw outputs of all classes, whose exact values "
                "are none of its: leave 'scale' out to have them in raw output, or ask for 'sampled'"
            )
        return reason

    def cost(self, budget: Budget) -> int:  # noqa: ARG002 - it follows the trees
        """The row itself, to which the trees are held."""
        return 1

    def explain(self, rows: Tensors, target: Target, budget: Budget, evaluation: Evaluation) -> Attributions:  # noqa: ARG002
        """Explain all rows."""
        assert self._explained is not None  # noqa: S101 - it is refused before
        matrix = self._trees.matrix(rows)
        raw = self._explained.answers_to(matrix)
        served = self._trees.check(raw, rows, target, evaluation)
        link = self._trees.link(target)
        if target.scale != "output" or not link.unit:
            values = self._explained.explain(matrix, evaluation.check_time)
            return self._trees.told(values, self._explained.expected, raw, target, background=True)
        columns = list(target.columns)
        background = link.raw(self._explained.answers)
        values = np.empty((len(matrix), self._trees.count, len(columns)))
        for number, row in enumerate(matrix):
            evaluation.check_time()
            values[number] = self._rescaled(row, link, background)[:, columns]
        return Attributions(
            values=values,
            expected=served_of(link, background).mean(axis=0)[columns],
            predictions=served,
            output=target.output.name,
            unit=target.output.unit,
            background=True,
        )

    def _rescaled(self, row: Tensor, link: Link, background: Tensor) -> Tensor:
        """Values [players, columns] of one row, those against each background row by the slope between the two.

        As shap's TreeExplainer does it for probabilities: what is served differs by the slope times the raw difference.
        """
        assert self._explained is not None  # noqa: S101 - it is refused before
        assert link.slope is not None  # noqa: S101 - likewise
        values = self._explained.explain_apart(row)
        values = link.raw(values.reshape(-1, values.shape[-1])).reshape(*values.shape[:2], -1)
        own = background + values.sum(axis=1)
        difference = own - background
        near = abs(difference) < _NEAR
        slope = np.where(
            near,
            link.slope(background),
            (served_of(link, own) - served_of(link, background)) / np.where(near, 1.0, difference),
        )
        return np.asarray((values * slope[:, None, :]).mean(axis=0))
