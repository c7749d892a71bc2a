"""Tables: columns of text cells by name, read from a CSV file with a header, and their values as tensors."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from onnxlet.batch.formats.sniffing import sniff_encoding, sniff_separator
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.directory import source_digest
from onnxlet.toolchain.workbench.privacy import describe_cell, values_are_shown
from onnxlet.values.spelling import did_you_mean, did_you_mean_each
from onnxlet.values.tensors import DATATYPES, Tensor

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
        return all(is_number(cell) for cell in self.column(name) if cell)

    def holds_numbers(self, name: str) -> bool:
        """Whether some cell of the column is a number, or all are empty."""
        filled = [cell for cell in self.column(name) if cell]
        return not filled or any(map(is_number, filled))

    def booleans(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the columns in which every cell is True or False."""
        return frozenset(name for name in names if all(cell.lower() in _BOOLEANS for cell in self.column(name)))

    def numbers(self, name: str) -> Tensor:
        """The column [rows] as float64; empty cells are NaN, True is 1. Raises InvalidInputError for other texts."""
        numbers = np.empty(self.rows, dtype=np.float64)
        for row, cell in enumerate(self.column(name)):
            if cell and not is_number(cell):
                raise InvalidInputError(
                    f"row {row + 1} of column {name!r} holds {describe_cell(cell)}, which is no number",
                    column=name,
                    row=row + 1,
                    withheld=not values_are_shown(),
                )
            numbers[row] = number_of(cell) if cell else math.nan
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


def describe_values(values: Iterable[str], kind: str, where: str = "") -> str:
    """The values in quotes if they may be shown, else how many there are, of which `kind`, and `where`."""
    listed = list(values)
    return quoted(listed) if values_are_shown() else count_of(len(listed), kind) + where


def describe_columns(columns: Iterable[str], known: Iterable[str]) -> str:
    """Their names if one of them is `known` to be one, else how many: without a header they are somebody's values."""
    names = list(columns)
    if values_are_shown() or not set(known).isdisjoint(names):
        return quoted(names)
    return count_of(len(names), "column")


def lacking_columns(
    table: Table, missing: Sequence[str], wanted: Iterable[str], whose: str = "the model"
) -> InvalidInputError:
    """The error for a table that lacks the columns `missing` of all that are `wanted`."""
    return InvalidInputError(
        f"{table.name!r} lacks the columns {quoted(missing)} of {whose}; it has "
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
    numbers = [number for name in header if is_number(name) and math.isfinite(number := number_of(name))]
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
    return bare if not bare or is_number(bare) else written


def number_of(cell: str) -> float:
    """Raises ValueError for a cell that is none."""
    return _BOOLEANS[cell.lower()] if cell.lower() in _BOOLEANS else float(cell)


def is_number(cell: str) -> bool:
    """Whether the cell is a number, True or False."""
    try:
        number_of(cell)
    except ValueError:
        return False
    return "_" not in cell
