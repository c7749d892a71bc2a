"""Players: what attributions are of. They are the columns that the user knows, or the elements of a model's tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.document import PlayerDocument
from onnxlet.explain.interface import Subject
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

MOST_PLAYERS = 1000
"""More columns or elements than these are not explained one by one."""
_MATRIX = 2


class Place:
    """An input, and which player each of its columns belongs to; of an input [N] there is one."""

    __slots__ = ("input", "is_matrix", "players")

    def __init__(self, name: str, players: Sequence[int], *, is_matrix: bool) -> None:
        self.input = name
        self.players = np.array(players, dtype=np.intp)
        self.is_matrix = is_matrix


class Players:
    """The players of a version, in the order of its columns, and where their values stand.

    Columns that the manifest takes together are one player, at the place of the first of them: one attribution, not a
    sum of several.
    """

    def __init__(self, subject: Subject, merged: Sequence[PlayerDocument]) -> None:
        """Raises NotExplainableError for inputs of no rows, of more dimensions, or of too many elements."""
        steps = subject.steps
        self.signature = steps.row_signature
        self._columns = {column.name for column in steps.columns or ()}
        owner = {column: player.name for player in merged for column in player.columns}
        self._numbers: dict[str, int] = {}
        self.places = tuple(self._place(spec, owner) for spec in subject.signatures[self.signature].inputs)
        self.names = tuple(self._numbers)
        self.defaults = {column.name: column.default for column in steps.columns or () if column.default is not None}

    def __len__(self) -> int:
        return len(self.names)

    def _place(self, spec: TensorSpec, owner: dict[str, str]) -> Place:
        if not spec.batched or len(spec.shape) > _MATRIX or (len(spec.shape) == _MATRIX and spec.shape[1] < 0):
            raise NotExplainableError(
                f"the input {spec} has no rows of columns, or an unknown number of them: nothing there can be explained"
            )
        if len(spec.shape) == 1:
            return Place(spec.name, [self._number(owner.get(spec.name, spec.name))], is_matrix=False)
        if len(self._numbers) + spec.shape[1] > MOST_PLAYERS:
            raise NotExplainableError(
                f"the model has more than {MOST_PLAYERS:,} values in a row, which are too many to explain one by one"
            )
        names = [f"{spec.name}[{column}]" for column in range(spec.shape[1])]
        return Place(spec.name, [self._number(owner.get(name, name)) for name in names], is_matrix=True)

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def rows(self, inputs: Tensors, signature: str) -> Tensors:
        """What was sent to any signature as the columns that the players stand in. Raises InvalidInputError."""
        if not inputs.keys() <= {place.input for place in self.places}:
            inputs = self._split(inputs, signature)
        lengths = {len(tensor) for tensor in inputs.values() if tensor.ndim}
        if len(lengths) != 1 or not (count := lengths.pop()):
            raise InvalidInputError("there are no rows to explain, or not as many in every column")
        filled = {
            name: np.full(count, default, dtype=object if isinstance(default, str) else None)
            for name, default in self.defaults.items()
            if name not in inputs
        }
        absent = [place.input for place in self.places if place.input not in inputs and place.input not in filled]
        if absent:
            raise InvalidInputError(f"the columns {', '.join(map(repr, absent[:20]))} are missing", missing=absent)
        return {place.input: inputs.get(place.input, filled.get(place.input)) for place in self.places}  # type: ignore[misc]

    def no_rows(self) -> Tensors:
        """Columns of no rows."""
        return {place.input: np.empty((0, len(place.players)) if place.is_matrix else (0,)) for place in self.places}

    def _split(self, inputs: Tensors, signature: str) -> Tensors:
        """The columns of the matrix that they are, where it was sent."""
        matrix = next(iter(inputs.values()))
        if not self._columns or len(inputs) != 1 or matrix.ndim != _MATRIX or matrix.shape[1] != len(self.places):
            raise NotExplainableError(f"what is sent to the signature {signature!r} cannot be explained")
        return {place.input: matrix[:, number] for number, place in enumerate(self.places)}

    def mix(self, row: Tensors, background: Tensors, known: Tensor, others: Tensor) -> Tensors:
        """Rows [M] of which the `known` [M, players] values are the row's, and the rest those of the background's rows
        `others` [M].
        """
        mixed: Tensors = {}
        for place in self.places:
            rest = background[place.input][others]
            chosen = known[:, place.players]
            mixed[place.input] = np.where(chosen if place.is_matrix else chosen[:, 0], row[place.input], rest)
        return mixed
