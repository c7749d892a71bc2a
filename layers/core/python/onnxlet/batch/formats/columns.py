"""Named columns of a chunk's cells → tensors, without the rows in which a cell is bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from onnxlet.batch.formats.cells import Parse, read_column
from onnxlet.batch.formats.chunks import BadRow, Chunk
from onnxlet.batch.inputs import Inputs
from onnxlet.errors import InvalidInputError
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.spelling import did_you_mean_each
from onnxlet.values.tensors import Tensor, Tensors


class ParsedColumns(NamedTuple):
    """A tensor [N] per column, the positions of its N rows in their chunk, and the other rows."""

    tensors: Tensors
    positions: Sequence[int]
    bad: list[BadRow]


ReadColumn = tuple[Tensor, dict[int, str]]
"""A column [N], and why each bad cell is, by position."""
MOST_NAMES = 100
"""At most so many missing columns are named."""


def parse_columns(
    chunk: Chunk, columns: Iterable[Column], cells_of: Callable[[str], Sequence[Any]], parse: Parse
) -> ParsedColumns:
    """Parse the cells that `cells_of` gives for a column's name, one for each row of the chunk.

    Empty cells take what the column says.
    """

    def read(column: Column) -> ReadColumn:
        cells, datatype = cells_of(column.name), DATATYPES[column.datatype]
        return read_column(cells, datatype, parse, missing=column.filler(), absent=column.default)

    return collect_columns(chunk, columns, read)


def collect_columns(chunk: Chunk, columns: Iterable[Column], read: Callable[[Column], ReadColumn]) -> ParsedColumns:
    """Columns as `read` gives them, for each row of the chunk: a row is bad for the first in which its cell is."""
    tensors: Tensors = {}
    bad: dict[int, BadRow] = {}
    for column in columns:
        tensors[column.name], faults = read(column)
        for position, reason in faults.items():
            bad.setdefault(position, BadRow(chunk.numbers[position], reason, column.name))
    positions: Sequence[int] = range(len(chunk.rows))
    if bad:
        positions = [position for position in positions if position not in bad]
        tensors = {name: tensor[positions] for name, tensor in tensors.items()}
    return ParsedColumns(tensors, positions, list(bad.values()))


def assemble(columns: Tensors, inputs: Inputs) -> Tensors:
    """Columns [N] as the called signature's inputs."""
    if inputs.columns is None and set(columns) != {spec.name for spec in inputs.specs}:
        return {inputs.specs[0].name: np.stack(list(columns.values()), axis=1)}
    return {spec.name: columns[spec.name].reshape(-1, *spec.shape[1:]) for spec in inputs.specs}


def lacking_error(missing: Sequence[str], header: Sequence[str]) -> InvalidInputError:
    """The error for columns that are missing. Of the header it names what is like them alone: it may be a row."""
    listed = ", ".join(map(repr, missing[:MOST_NAMES]))
    more = f" and {len(missing) - MOST_NAMES} more" if len(missing) > MOST_NAMES else ""
    columns = "column" if len(missing) == 1 else "columns"
    advice = did_you_mean_each(missing, header)
    return InvalidInputError(f"the file has no {columns} {listed}{more} that the model needs{advice}", missing=missing)


def merge_columns(pieces: Sequence[tuple[Sequence[int], Tensors]]) -> tuple[Sequence[int], Tensors]:
    """Columns of rows that were read apart, in their chunk's order again."""
    if len(pieces) < 2:  # noqa: PLR2004 - there is nothing to sort
        return pieces[0] if pieces else ([], {})
    positions = np.concatenate([np.asarray(piece[0]) for piece in pieces])
    order = np.argsort(positions)
    names = pieces[0][1]
    tensors = {name: np.concatenate([tensors[name] for _, tensors in pieces])[order] for name in names}
    return positions[order].tolist(), tensors
