"""Truth: the values of the columns that a model predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.privacy import values_are_shown
from onnxlet.toolchain.workbench.table import count_of, describe_values, is_number, number_of, quoted
from onnxlet.values.tensors import Tensor

Targets = str | Sequence[str] | None
"""The column that a model predicts, or several in the model's order."""


class Cells(Protocol):
    """What a target column is read from."""

    def column(self, name: str) -> list[str]:
        """The cells of one column. Raises InvalidInputError if there is none of this name."""

    def numbers(self, name: str) -> Tensor:
        """The column as float64. Raises InvalidInputError for a cell that is no number."""

    def wide(self, name: str) -> Tensor | None:
        """Where each row has several values [rows, …], these."""


def targets_of(targets: Targets) -> tuple[str, ...]:
    """The targets as a tuple of names. Raises InvalidInputError if one is named twice."""
    names = (targets,) if isinstance(targets, str) else tuple(targets or ())
    if len(set(names)) != len(names):
        raise InvalidInputError(f"targets are named twice: {quoted(sorted(names))}")
    return names


Classes = tuple[Sequence[int | str] | None, Sequence[str]]
"""A target's class values (None for numbers), and the names of the classes if they have any."""


def truth_of(table: Cells, targets: Targets, classes: Sequence[Classes], labels: Sequence[str] = ()) -> Tensor | None:
    """The values of the target columns: [rows] for one target, [rows, targets] for several, None for none.

    One array of several numbers per row is several targets, one class of each row where it is one-hot, or what is at
    each position of an image.

    `classes` are a classifier's class values and labels, target by target; empty for a regressor. `labels` are those
    that a model tells apart, each as a target of 0 and 1: one column may name which of them a row has. Raises
    InvalidInputError for another number of targets, for cells that are neither class values nor labels, and for texts
    where a regressor needs numbers.
    """
    names = targets_of(targets)
    if not names:
        return None
    wide = table.wide(names[0]) if len(names) == 1 else None
    if wide is None and len(classes) == 1 and len(names) == len(classes[0][0] or ()):
        # columns of 0 and 1, one for each class
        wide = np.stack([table.numbers(name) for name in names], axis=1)
    if wide is not None:
        return _wide_truth(wide, names[0], classes)
    if len(names) == 1 and len(classes) == len(labels) > 1 and (marks := _marks(table, names[0], labels)) is not None:
        return marks
    if classes and len(classes) != len(names):
        raise InvalidInputError(
            f"the model predicts {count_of(len(classes), 'target')}, {quoted(names)} is named with --target: name "
            "each, in the model's own order"
        )
    each = classes or [(None, ())] * len(names)
    columns = [_truth(table, name, *known) for name, known in zip(names, each, strict=True)]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _marks(table: Cells, target: str, labels: Sequence[str]) -> Tensor | None:
    """0 and 1 for each label, where a column names or counts one of them in each row; else None."""
    cells = [_as_class_value(cell) for cell in table.column(target)]
    for known in (list(labels), [str(position) for position in range(len(labels))]):
        if set(cells) <= set(known):
            return np.eye(len(known), dtype=np.int64)[[known.index(cell) for cell in cells]]
    return None


def is_one_hot(truth: Tensor) -> bool:
    """Whether it names one of several classes in each row, as [rows, classes] of 0 and a single 1."""
    if truth.ndim != 2 or truth.shape[1] < 2 or truth.dtype.kind not in "biuf":  # noqa: PLR2004
        return False
    return bool(np.isin(truth, (0, 1)).all() and (truth.sum(axis=1) == 1).all())


def _wide_truth(truth: Tensor, target: str, classes: Sequence[Classes]) -> Tensor:
    """Several values per row as truth. Raises InvalidInputError where the model has other classes."""
    if truth.dtype.kind not in "biuf" or not np.isfinite(truth.astype(np.float64)).all():
        raise InvalidInputError(f"the target {target!r} holds what are no numbers", target=target)
    values = [known or () for known, _ in classes]
    if not values:
        return truth.astype(np.float64)
    if len(values) == 1 and truth.shape[1:] == (len(values[0]),) and is_one_hot(truth):
        dtype = object if any(isinstance(value, str) for value in values[0]) else np.int64
        named: Tensor = np.array(values[0], dtype=dtype)[truth.argmax(axis=1)]
        return named
    several = len(values) > 1 and all(tuple(each) == (0, 1) for each in values)
    unknown = np.setdiff1d(truth, (0, 1))
    if not several or truth.shape[1:] != (len(values),) or unknown.size:
        raise InvalidInputError(
            f"the target {target!r} of the shape {list(truth.shape)} holds "
            f"{describe_values(map(str, unknown), 'number', ' that no class has')}; the model predicts "
            f"{count_of(len(values), 'target')} of {len(values[0])} classes: give a number per row, or 0 and 1 for "
            "each class",
            target=target,
            withheld=not values_are_shown(),
        )
    return truth.astype(np.int64)


def _truth(table: Cells, target: str, classes: Sequence[int | str] | None, labels: Sequence[str]) -> Tensor:
    if classes is None:
        truth = table.numbers(target)
        if np.isnan(truth).any():
            rows = np.flatnonzero(np.isnan(truth)) + 1
            raise InvalidInputError(
                f"the target {target!r} is empty in {len(rows)} of {len(truth)} rows, first in row {rows[0]}: leave "
                "out the rows that nobody labelled",
                target=target,
            )
        return truth
    empty = [row for row, cell in enumerate(table.column(target), start=1) if not cell]
    if empty and "" not in classes:
        raise InvalidInputError(
            f"the target {target!r} is empty in {len(empty)} of {len(table.column(target))} rows, first in row "
            f"{empty[0]}: leave out the rows that nobody labelled",
            target=target,
        )
    values: dict[str, int | str] = {str(value): value for value in classes}
    if tuple(classes) == (0, 1):
        values |= {"0": 0, "1": 1, "False": 0, "True": 1}
    named = dict(zip(labels, classes, strict=False))
    if any(values.get(label, value) != value for label, value in named.items()):
        values = named  # `1` names the class 0: what is no name would be read as another class
    values |= named
    cells = [cell if cell in values else _as_class_value(cell) for cell in table.column(target)]
    unknown = sorted(set(cells) - values.keys())
    if unknown:
        known = quoted(dict.fromkeys([*(str(value) for value in classes if str(value) in values), *labels]))
        unnamed = not labels and len(unknown) == len(set(cells)) == len(classes)
        advice = "; if these name them, convert or ship with --labels and the names in this order" if unnamed else ""
        raise InvalidInputError(
            f"the target {target!r} holds {_describe_unknown(cells, unknown)}; the model knows the classes "
            f"{known}{advice}",
            target=target,
            withheld=not values_are_shown(),
        )
    texts = any(isinstance(value, str) for value in classes)
    return np.array([values[cell] for cell in cells], dtype=object if texts else np.int64)


def _describe_unknown(cells: Sequence[str], unknown: Sequence[str]) -> str:
    """Values of the target that are no class, or in how many rows they are."""
    row = next(row for row, cell in enumerate(cells, start=1) if cell in unknown)
    return describe_values(unknown, "value", f" that no class has, first in row {row}")


def _as_class_value(cell: str) -> str:
    """`1.0` as `1`: a class value that a spreadsheet made a float of; any other without the spaces around it."""
    return str(int(number_of(cell))) if is_number(cell) and number_of(cell).is_integer() else cell.strip()
