"""What both methods of explaining trees share: the tables, the columns, the links, and the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from onnxlet.errors import IntegrityError, NotExplainableError
from onnxlet.explain.interface import Attributions, Planning, Target
from onnxlet.explain.trees.ensemble import read_ensemble
from onnxlet.explain.trees.links import LINKS, Link

if TYPE_CHECKING:
    from onnxlet.explain.evaluation import Evaluation
    from onnxlet.values.tensors import Tensor, Tensors

_AGREEMENT = 1e-3
"""How far, with its size, what follows from the tables may be from what is served, in single precision."""


class TreesTable(msgspec.Struct, frozen=True):
    """What a manifest keeps of a version's trees.

    `artifact` has the ensemble. `input` is what it reads: an input of the graph, or the output of the graph `front`,
    which makes it of these; `players` are the names of its columns' players. `links` say for each served output that
    follows from the trees how it does.
    """

    artifact: str
    input: str
    players: tuple[str, ...]
    links: dict[str, str]
    front: str | None = None


class Trees:
    """The trees of one version, and how their raw outputs become what is served."""

    def __init__(self, planning: Planning) -> None:
        """Raises NotExplainableError for a table that cannot be read here, IntegrityError for a broken artifact."""
        try:
            self._table = msgspec.convert(planning.table, TreesTable)
        except msgspec.ValidationError as error:
            raise NotExplainableError(
                f"the version's table of trees cannot be read, {error}: upgrade onnxlet"
            ) from error
        self._subject = planning.subject
        with open(planning.subject.fetch(self._table.artifact), "rb") as file:
            self.ensemble = read_ensemble(file)
        self.players = self._players(planning.players.names)
        self.count = len(planning.players)
        front = self._table.front
        self._front = None if front is None else planning.subject.open_graph(front)

    def _players(self, names: tuple[str, ...]) -> Tensor:
        """The player of each column that the trees read."""
        places = {name: number for number, name in enumerate(names)}
        numbers = [places.get(name, -1) for name in self._table.players]
        if -1 in numbers or int(self.ensemble.columns.max()) >= len(numbers) or not self._table.links.keys():
            raise IntegrityError("the table of trees names players that the version lacks, or not one for each column")
        if not set(self._table.links.values()) <= LINKS.keys():
            raise NotExplainableError("the table of trees has a link that this onnxlet does not know: upgrade onnxlet")
        return np.array(numbers)

    def matrix(self, rows: Tensors) -> Tensor:
        """What the trees read [N, columns] of rows of the players' signature. Raises as predicting does."""
        dtype = self.ensemble.thresholds.dtype
        if not len(next(iter(rows.values()))):
            return np.empty((0, len(self._table.players)), dtype)
        inputs = self._subject.prepare(rows)
        matrix = (inputs if self._front is None else self._front(inputs))[self._table.input]
        return matrix.reshape(len(matrix), -1).astype(dtype, copy=False)

    def refusal(self, target: Target) -> str:
        """Why an output does not follow from the trees in a way that is known; empty if it does."""
        if target.output.name in self._table.links:
            return ""
        return f"it is not known how {target.output.name!r} follows from the trees"

    def link(self, target: Target) -> Link:
        """The output's link."""
        return LINKS[self._table.links[target.output.name]]

    def check(self, raw: Tensor, rows: Tensors, target: Target, evaluation: Evaluation) -> Tensor:
        """The served columns [N, classes] of raw outputs. Raises NotExplainableError if the version serves others."""
        served = self.link(target).served(raw)[:, list(target.columns)]
        own = evaluation.answers(rows)
        if (abs(served - own) > _AGREEMENT * (1 + abs(own))).any():
            raise NotExplainableError(
                f"the tables of its trees give another {target.output.name!r} than the version serves: publish it anew"
            )
        return served

    def told(self, values: Tensor, expected: Tensor, raw: Tensor, target: Target, *, background: bool) -> Attributions:
        """An answer in raw output: values [N, players, outputs] as those of the served columns."""
        link, columns = self.link(target), list(target.columns)
        return Attributions(
            values=_linear(link, values)[..., columns],
            expected=link.raw(expected[None])[0, columns],
            predictions=link.raw(raw)[:, columns],
            output=target.output.name,
            unit=link.unit or target.output.unit,
            background=background,
        )


def _linear(link: Link, values: Tensor) -> Tensor:
    """Values [..., outputs] as those of the served columns' own raw outputs: what is constant there drops out."""
    flat = values.reshape(-1, values.shape[-1])
    moved = link.raw(flat) - link.raw(np.zeros((1, values.shape[-1])))
    return np.asarray(moved.reshape(*values.shape[:-1], moved.shape[1]))
