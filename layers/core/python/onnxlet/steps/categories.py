"""Known categories: a value that the model was not fitted with, and refuses, is refused before it gets to the graph."""

from __future__ import annotations

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.steps.base import Preprocessor, Specs, Step
from onnxlet.values.tensors import Tensor, Tensors

Value = bool | int | float | str


class CategoricalColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column and all of the values that it may have; `missing`: NaN or the empty text too.

    `place` is its own among the columns of the matrix, where it is in one.
    """

    name: str
    values: tuple[Value, ...]
    missing: bool = False
    place: int = 0


class Categories(Step, frozen=True, tag="categories"):
    """Columns that take no other values than those listed.

    `input` is the graph input [N, columns] that they are in; None: each is the graph input [N, 1] or [N] of its own
    name. It holds for every way in, be it by columns or by tensors.
    """

    columns: tuple[CategoricalColumn, ...]
    input: str | None = None

    def fills(self) -> tuple[str, ...]:
        """What it looks at."""
        return tuple(column.name for column in self.columns) if self.input is None else (self.input,)

    def preprocessor(self, wanted: Specs) -> Preprocessor:  # noqa: ARG002 - it changes nothing
        """What raises InvalidInputError for a value that is not listed."""
        return CategoryChecker(self).apply


class CategoryChecker:
    """The step with its plan made once; `apply` is what a prediction pays."""

    def __init__(self, step: Categories) -> None:
        self._input = step.input
        self._columns = [(column, frozenset(column.values)) for column in step.columns]

    def apply(self, tensors: Tensors) -> Tensors:
        """The same tensors. Raises InvalidInputError for one with a value that the model does not know."""
        for column, known in self._columns:
            tensor = tensors.get(column.name if self._input is None else self._input)
            if tensor is None or (self._input is not None and (tensor.ndim != 2 or tensor.shape[1] <= column.place)):  # noqa: PLR2004 - a matrix
                # of another shape than the graph's, which says so
                continue
            self._check(tensor.reshape(-1) if self._input is None else tensor[:, column.place], column, known)
        return tensors

    def _check(self, tensor: Tensor, column: CategoricalColumn, known: frozenset[Value]) -> None:
        values = tensor.tolist()
        if known.issuperset(values):
            return
        for row, value in enumerate(values):
            is_missing = value == "" or value != value  # noqa: PLR0124 - NaN
            if value not in known and not (is_missing and column.missing):
                what = "is missing" if is_missing else "holds a category that the model was not fitted with"
                raise InvalidInputError(
                    f"the column {column.name!r} {what} in row {row}, and the model takes no such value there",
                    column=column.name,
                    row=row,
                )
