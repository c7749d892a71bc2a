"""Linear models, exactly: coefficient x (value - mean of the background), summed over the columns of a player.

The columns are what the graph's linear operation reads: scaled, encoded, weighted words. Those that stem from one
column that the user knows are one player, whose attribution is their sum; for a function that is a sum over players
this is the Shapley value itself. The scale is that of the score, before what makes probabilities of it.

Source: Strumbelj and Kononenko, "Explaining prediction models and individual predictions with feature contributions",
2014, section 4.2; shap's LinearExplainer (interventional) is the same.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from onnxlet.errors import IntegrityError, NotExplainableError
from onnxlet.explain.evaluation import Evaluation
from onnxlet.explain.interface import Attributions, Planning, Target
from onnxlet.explain.request import Budget
from onnxlet.values.tensors import PackedTensor, Tensor, Tensors, unpack

LINKED = ("log", "log-odds", "logit")
"""Units of scores that a link makes the output of."""
MOST_NUMBERS = 2**21
"""Values of the columns that are looked at at once: 16 MB."""


class LinearTable(msgspec.Struct, frozen=True):
    """What a manifest keeps of a linear model.

    `artifact` has the coefficients [columns, scores] and intercepts [scores]. `input` is what they are multiplied with:
    an input of the graph, or the output of the graph `front`, which makes it of these. `players` are the names of the
    columns' players, one for each or one for all. The scores are those of the columns of `output`, in `unit`.
    """

    artifact: str
    input: str
    players: tuple[str, ...]
    output: str
    unit: str
    front: str | None = None


def plan(planning: Planning) -> Linear:
    """The method for a version."""
    return Linear(planning)


class Linear:
    """The coefficients of one version, its front, and the background's means."""

    def __init__(self, planning: Planning) -> None:
        """Raises NotExplainableError for a table that cannot be read here, IntegrityError for a broken artifact."""
        try:
            self._table = msgspec.convert(planning.table, LinearTable)
        except msgspec.ValidationError as error:
            raise NotExplainableError(f"the version's linear table cannot be read, {error}: upgrade onnxlet") from error
        self._planning = planning
        self._coefficients, self._intercepts = self._read()
        self._owner = self._owners(planning.players.names)
        self._front = self._open()
        self._mean = self._columns(planning.background.rows()).mean(axis=0)
        self.nbytes = self._coefficients.nbytes + self._mean.nbytes

    def _read(self) -> tuple[Tensor, Tensor]:
        with open(self._planning.subject.fetch(self._table.artifact), "rb") as file:
            data = file.read()
        try:
            tensors = unpack(msgspec.json.decode(data, type=dict[str, PackedTensor]))
            return tensors["coefficients"].astype(np.float64), tensors["intercepts"].astype(np.float64)
        except (msgspec.MsgspecError, ValueError, KeyError) as error:
            raise IntegrityError(f"these are no coefficients: {error}") from error

    def _owners(self, names: tuple[str, ...]) -> Tensor:
        """The player of each column."""
        players = self._table.players
        numbers = [names.index(player) if player in names else -1 for player in players]
        if -1 in numbers or len(players) not in (1, len(self._coefficients)):
            raise IntegrityError("the linear table names players that the version lacks, or not one for each column")
        return np.broadcast_to(np.array(numbers), len(self._coefficients))

    def _open(self) -> Callable[[Tensors], Tensors]:
        front = self._table.front
        return (lambda inputs: inputs) if front is None else self._planning.subject.open_graph(front)

    def _columns(self, rows: Tensors) -> Tensor:
        """What the coefficients are multiplied with [rows, columns], float64. Raises NotExplainableError for NaN."""
        columns = self._front(self._planning.subject.prepare(rows))[self._table.input].astype(np.float64)
        if not np.isfinite(columns).all():
            raise NotExplainableError("a column of this row is missing or infinite, and nothing is linear in that")
        return columns.reshape(len(columns), -1)

    def refusal(self, target: Target, budget: Budget) -> str:  # noqa: ARG002 - it costs next to nothing
        """Another output than the one that is linear, or what a link makes of it."""
        table = self._table
        if target.output.name != table.output:
            return f"the model is linear in {table.output!r} alone"
        if target.scale == "output" and table.unit in LINKED:
            return f"the model is linear in the {table.unit} of {table.output!r}, not in what is served"
        return ""

    def cost(self, budget: Budget) -> int:  # noqa: ARG002 - it only multiplies
        """None."""
        return 0

    def explain(self, rows: Tensors, target: Target, budget: Budget, evaluation: Evaluation) -> Attributions:  # noqa: ARG002
        """Explain some rows at a time."""
        scores = list(target.columns)
        coefficients, intercepts = self._coefficients[:, scores], self._intercepts[scores]
        count = len(next(iter(rows.values())))
        values = np.zeros((count, len(self._planning.players), len(scores)))
        predictions = np.empty((count, len(scores)))
        size = max(1, MOST_NUMBERS // max(1, coefficients.size))
        for start in range(0, count, min(size, evaluation.size)):
            evaluation.check_time()
            part = slice(start, start + min(size, evaluation.size))
            columns = self._columns({name: tensor[part] for name, tensor in rows.items()})
            predictions[part] = columns @ coefficients + intercepts
            shares = (columns - self._mean)[:, :, None] * coefficients
            for player in np.unique(self._owner):
                values[part, player] = shares[:, self._owner == player].sum(axis=1)
        return Attributions(
            values=values,
            expected=self._mean @ coefficients + intercepts,
            predictions=predictions,
            output=self._table.output,
            unit=self._table.unit,
            background=True,
        )
