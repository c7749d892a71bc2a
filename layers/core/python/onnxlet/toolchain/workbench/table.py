"""Tables: columns of text cells by name, read from a CSV file with a header, and their values as tensors."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from onnxlet.batch.formats.sniffing import sniff_encoding, sniff_separator
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.directory import source_digest
from onnxlet.toolchain.workbench.privacy import describe_cell, values_are_shown
from onnxlet.values.spelling import did_you_mean, did_you_mean_each
from onnxlet.values.tensors import DATATYPES, Tensor

Targets = str | Sequence[str] | None
"""The column that a model predicts, or several in the model's order."""

MOST_NAMES = 12
"""At most so many names are listed in a message."""
FIRST_ROWS = 100
"""Rows that are read to tell whether something else than commas separates cells."""
_BOOLEANS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Table:
    """Text cells by column, in the file's order. Spaces around numbers are dropped, those around texts are kept."""

    name: str
    columns: dict[str, list[str]]
    rows: int
    digest: str = ""
    """The digest of the file, or of what the caller holds."""
    path: Path | None = None
    """The file; None for what the caller holds."""
    own: Any = None
    """The DataFrame, or the array [rows, columns], that the caller holds; None for a file."""

    def column(self, name: str, known: Iterable[str] = ()) -> list[str]:
        """The cells of the column. Raises InvalidInputError if there is no such column.

        `known` are names that columns of such a table have.
        """
        try:
            return self.columns[name]
        except KeyError:
            raise InvalidInputError(
                f"{self.name!r} has no column {name!r}; it has {describe_columns(self.columns, known)}"
                f"{did_you_mean(name, self.columns)}",
                column=name,
                withheld=not values_are_shown(),
            ) from None

    def is_numeric(self, name: str) -> bool:
        """Whether every cell of the column is a number, True, False or empty."""
        return all(_is_number(cell) for cell in self.column(name) if cell)

    def holds_numbers(self, name: str) -> bool:
        """Whether some cell of the column is a number, or all are empty."""
        filled = [cell for cell in self.column(name) if cell]
        return not filled or any(map(_is_number, filled))

    def booleans(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the columns in which every cell is True or False."""
        return frozenset(name for name in names if all(cell.lower() in _BOOLEANS for cell in self.column(name)))

    def numbers(self, name: str) -> Tensor:
        """The column [rows] as float64; empty cells are NaN, True is 1. Raises InvalidInputError for other texts."""
        numbers = np.empty(self.rows, dtype=np.float64)
        for row, cell in enumerate(self.column(name)):
            if cell and not _is_number(cell):
                raise InvalidInputError(
                    f"row {row + 1} of column {name!r} holds {describe_cell(cell)}, which is no number",
                    column=name,
                    row=row + 1,
                    withheld=not values_are_shown(),
                )
            numbers[row] = _number(cell) if cell else math.nan
        return numbers

    def wide(self, name: str) -> Tensor | None:  # noqa: ARG002 - cells hold one value each
        """None: each row has one value."""
        return None

    def tensor(self, name: str, datatype: str) -> Tensor:
        """The column [rows] as `datatype`. Raises InvalidInputError for cells that do not hold such values."""
        if DATATYPES[datatype].kind == "s":
            return np.array(self.column(name), dtype=object)
        numbers = self.numbers(name)
        if DATATYPES[datatype].kind == "b" and not np.isin(numbers, (0, 1)).all():
            raise InvalidInputError(f"column {name!r} must hold true or false in every row", column=name)
        if DATATYPES[datatype].kind == "i" and not (numbers == np.floor(numbers)).all():
            raise InvalidInputError(f"column {name!r} must hold whole numbers", column=name)
        return numbers.astype(DATATYPES[datatype].numpy)


def read_table(path: Path) -> Table:
    """Read a CSV file. Raises InvalidInputError if it has no header, no rows, rows of unequal length, or is no CSV."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file, strict=True) if line]
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"cannot read the data {str(path)!r} as CSV: {sniff_encoding(error.object) or error}", path=str(path)
        ) from error
    except (OSError, csv.Error) as error:
        raise InvalidInputError(f"cannot read the data {str(path)!r} as CSV: {error}", path=str(path)) from error
    if len(lines) < 2:  # noqa: PLR2004 - a header and a row
        raise InvalidInputError(f"{str(path)!r} needs a header line and at least one row", path=str(path))
    header, *rows = lines
    other = sniff_encoding("".join(header).encode()) or sniff_separator(header, map(",".join, rows[:FIRST_ROWS]))
    if other is not None:
        raise InvalidInputError(f"cannot read the data {str(path)!r} as CSV: {other}", path=str(path))
    _check_header(header, str(path))
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise InvalidInputError(
                f"row {number} of {str(path)!r} has {len(row)} cells, its header {len(header)}", row=number
            )
    columns = {name: [_parse_cell(row[index]) for row in rows] for index, name in enumerate(header)}
    return Table(path.name, columns, len(rows), source_digest(path) or "", path)


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


def truth_of(table: Cells, targets: Targets, classes: Sequence[Classes]) -> Tensor | None:
    """The values of the target columns: [rows] for one target, [rows, targets] for several, None for none.

    One array of several numbers per row is several targets, one class of each row where it is one-hot, or what is at
    each position of an image.

    `classes` are a classifier's class values and labels, target by target; empty for a regressor. Raises
    InvalidInputError for another number of targets, for cells that are neither class values nor labels, and for texts
    where a regressor needs numbers.
    """
    names = targets_of(targets)
    if not names:
        return None
    wide = table.wide(names[0]) if len(names) == 1 else None
    if wide is not None:
        return _wide_truth(wide, names[0], classes)
    if classes and len(classes) != len(names):
        raise InvalidInputError(
            f"the model predicts {count_of(len(classes), 'target')}, {quoted(names)} is named with --target: name "
            "each, in the model's own order"
        )
    each = classes or [(None, ())] * len(names)
    columns = [_truth(table, name, *known) for name, known in zip(names, each, strict=True)]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


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
    if not several or truth.shape[1:] != (len(values),) or not np.isin(truth, (0, 1)).all():
        raise InvalidInputError(
            f"the target {target!r} of the shape {list(truth.shape)} holds {quoted(map(str, np.unique(truth)))}; the "
            f"model predicts {count_of(len(values), 'target')} of {len(values[0])} classes: give a number per row, or "
            "0 and 1 for each class",
            target=target,
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
        values |= {"False": 0, "True": 1}
    values |= dict(zip(labels, classes, strict=False))
    cells = [cell if cell in values else _as_class_value(cell) for cell in table.column(target)]
    unknown = sorted(set(cells) - values.keys())
    if unknown:
        known = quoted(map(str, [*classes, *(label for label in labels if label not in classes)]))
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
    if values_are_shown():
        return quoted(unknown)
    row = next(row for row, cell in enumerate(cells, start=1) if cell in unknown)
    return f"{count_of(len(unknown), 'value')} that no class has, first in row {row}"


def describe_columns(columns: Iterable[str], known: Iterable[str]) -> str:
    """Their names if one of them is `known` to be one, else how many: without a header they are somebody's values."""
    names = list(columns)
    if values_are_shown() or not set(known).isdisjoint(names):
        return quoted(names)
    return count_of(len(names), "column")


def lacking_columns(table: Table, missing: Sequence[str], wanted: Iterable[str]) -> InvalidInputError:
    """The error for a table that lacks the columns `missing` of all that are `wanted`."""
    return InvalidInputError(
        f"{table.name!r} lacks the columns {quoted(missing)} of the model; it has "
        f"{describe_columns(table.columns, wanted)}{did_you_mean_each(missing, table.columns)}",
        missing=list(missing),
        withheld=not values_are_shown(),
    )


def quoted(names: Iterable[str]) -> str:
    """Names in quotes for a message; of many, the first MOST_NAMES."""
    listed = list(names)
    shown = ", ".join(repr(name) for name in listed[:MOST_NAMES])
    return shown + (f" and {len(listed) - MOST_NAMES} more" if len(listed) > MOST_NAMES else "")


def count_of(count: int, thing: str) -> str:
    """`1 target`, `2 targets`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _check_header(header: Sequence[str], place: str) -> None:
    """Raises InvalidInputError for names that are there twice, and for a first line of values."""
    numbers = [number for name in header if _is_number(name) and math.isfinite(number := _number(name))]
    steps = [after - before for before, after in pairwise(numbers)]
    # numbers in order may be names: positions, years, wavelengths
    if steps and not (min(steps) > 0 or max(steps) < 0):
        raise InvalidInputError(
            f"the first line of {place!r} seems to hold values: it must name the columns", path=place
        )
    for position, name in enumerate(header):
        first = header.index(name)
        if first < position:
            raise InvalidInputError(
                f"columns {first + 1} and {position + 1} of {place!r} have the same name", path=place
            )


def _parse_cell(written: str) -> str:
    """Spaces around a text are part of it, as clients send it and as most readers gave it to the model."""
    bare = written.strip()
    return bare if not bare or _is_number(bare) else written


def _as_class_value(cell: str) -> str:
    """`1.0` as `1`: a class value that a spreadsheet made a float of; any other without the spaces around it."""
    return str(int(_number(cell))) if _is_number(cell) and _number(cell).is_integer() else cell.strip()


def _number(cell: str) -> float:
    """Raises ValueError for a cell that is none."""
    return _BOOLEANS[cell.lower()] if cell.lower() in _BOOLEANS else float(cell)


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return "_" not in cell
