"""Finite numbers: what a model refuses is refused before it gets to the graph, which would answer all the same."""

from __future__ import annotations

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps.base import Preprocessor, Specs, Step
from onnxlet.values.tensors import Tensor, Tensors


class Finite(Step, frozen=True, tag="finite"):
    """Columns of numbers that must be finite, but for NaN where values may be `missing`, and `infinite` ones.

    `input` is the graph input [N, columns] that they are in, in this order; None: each is the graph input [N, 1] or
    [N] of its own name. It holds for every way in, be it by columns or by tensors.
    """

    columns: tuple[str, ...]
    missing: tuple[str, ...] = ()
    infinite: tuple[str, ...] = ()
    input: str | None = None

    def columns_by_input(self) -> dict[str, tuple[str, ...]]:
        """The columns that each graph input holds."""
        return {name: (name,) for name in self.columns} if self.input is None else {self.input: self.columns}

    def fills(self) -> tuple[str, ...]:
        """What it looks at."""
        return tuple(self.columns_by_input())

    def passes_finite(self) -> bool:
        """It looks for the others alone."""
        return True

    def preprocessor(self, wanted: Specs) -> Preprocessor:  # noqa: ARG002 - it changes nothing
        """What raises InvalidInputError for a number that is refused."""
        return FiniteChecker(self).apply


class FiniteChecker:
    """The step with its plan made once; `apply` is what a prediction pays."""

    def __init__(self, step: Finite) -> None:
        self._groups = {
            name: (columns, _flags(columns, step.missing), _flags(columns, step.infinite))
            for name, columns in step.columns_by_input().items()
        }

    def apply(self, tensors: Tensors) -> Tensors:
        """The same tensors. Raises InvalidInputError for one with a number that the model refuses."""
        for name, group in self._groups.items():
            tensor = tensors.get(name)
            if tensor is None or tensor.dtype.kind != "f":
                continue
            # counting takes half the time of asking for all
            if np.count_nonzero(np.isfinite(tensor)) != tensor.size:
                self._check(tensor, *group)
        return tensors

    def _check(self, tensor: Tensor, columns: tuple[str, ...], missing: Tensor, infinite: Tensor) -> None:
        if tensor.size % len(columns):
            # of another shape than the graph's, which says so
            return
        rows = tensor.reshape(-1, len(columns))
        nan = np.isnan(rows)
        refused = (nan & ~missing) | (np.isinf(rows) & ~infinite)
        if refused.any():
            row, column = np.argwhere(refused)[0]
            what = "is missing (NaN)" if nan[row, column] else "is infinite"
            raise InvalidInputError(
                f"the column {columns[column]!r} {what} in row {row}, and the model takes no such value there",
                column=columns[column],
                row=int(row),
            )


def _flags(columns: tuple[str, ...], names: tuple[str, ...]) -> Tensor:
    return np.isin(np.array(columns), np.array(names, dtype=str))
