"""The method `trees`: exact path-dependent values, in the trees' raw output. It needs no background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.explain.interface import Attributions, Planning, Target
from onnxlet.explain.trees.method import Trees
from onnxlet.explain.trees.path_dependent import PathDependent

if TYPE_CHECKING:
    from onnxlet.explain.evaluation import Evaluation
    from onnxlet.explain.request import Budget
    from onnxlet.values.tensors import Tensors


def plan(planning: Planning) -> ByPath:
    """The method for a version."""
    return ByPath(planning)


class ByPath:
    """The trees of one version, against the training weight of their nodes."""

    def __init__(self, planning: Planning) -> None:
        self._trees = trees = Trees(planning)
        self._explained = (
            PathDependent(trees.ensemble, trees.players, trees.count) if trees.ensemble.knows_shares else None
        )

    @property
    def nbytes(self) -> int:
        """Bytes of its tables."""
        return self._trees.ensemble.nbytes + (0 if self._explained is None else self._explained.nbytes)

    def refusal(self, target: Target, budget: Budget) -> str:  # noqa: ARG002 - it is exact, and takes what it takes
        """Nodes whose training weight is not known, an output that does not follow, a scale that it cannot do."""
        if self._explained is None:
            return (
                "the graph does not tell the training weight of its trees' nodes, which `onnxlet convert` writes there"
            )
        reason = self._trees.refusal(target)
        if not reason and target.scale == "output" and self._trees.link(target).unit:
            return (
                f"it explains the raw output of the trees, in {self._trees.link(target).unit}, and "
                f"{target.output.name!r} is on another scale: ask for 'trees-interventional', or leave 'scale' out"
            )
        return reason

    def cost(self, budget: Budget) -> int:  # noqa: ARG002 - it follows the trees
        """The row itself, to which the trees are held."""
        return 1

    def explain(self, rows: Tensors, target: Target, budget: Budget, evaluation: Evaluation) -> Attributions:  # noqa: ARG002
        """Explain all rows."""
        assert self._explained is not None  # noqa: S101 - it is refused before
        matrix = self._trees.matrix(rows)
        raw = self._explained.answers(matrix)
        self._trees.check(raw, rows, target, evaluation)
        values = self._explained.explain(matrix, evaluation.check_time)
        return self._trees.told(values, self._explained.expected, raw, target, background=False)
