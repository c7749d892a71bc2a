"""Named columns of a chunk's cells → tensors, without the rows in which a cell is bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from onnxlet.batch.formats.cells import Parse, read_column
from onnxlet.batch.formats.chunks import BadRow, Chunk
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.tensors import Tensors


class ParsedColumns(NamedTuple):
    """A tensor [N] per column, the positions of its N rows in their chunk, and the other rows."""

    tensors: Tensors
    positions: list[int]
    bad: list[BadRow]


def parse_columns(
    chunk: Chunk, columns: Iterable[Column], cells_of: Callable[[str], Sequence[Any]], parse: Parse
) -> ParsedColumns:
    """Parse the cells that `cells_of` gives for a column's name, one for each row of the chunk.

    Empty cells take what the column says. A row is bad for the first column in which its cell is.
    """
    tensors: Tensors = {}
    bad: dict[int, BadRow] = {}
    for column in columns:
        tensors[column.name], faults = read_column(
            cells_of(column.name),
            DATATYPES[column.datatype],
            parse,
            missing=column.filler(),
            absent=column.default,
        )
        for position, reason in faults.items():
            bad.setdefault(position, BadRow(chunk.numbers[position], reason, column.name))
    positions = [position for position in range(len(chunk.rows)) if position not in bad]
    if bad:
        tensors = {name: tensor[positions] for name, tensor in tensors.items()}
    return ParsedColumns(tensors, positions, list(bad.values()))


def merge_columns(pieces: Sequence[tuple[Sequence[int], Tensors]]) -> tuple[Sequence[int], Tensors]:
    """Columns of rows that were read apart, in their chunk's order again."""
    if len(pieces) < 2:  # noqa: PLR2004 - there is nothing to sort
        return pieces[0] if pieces else ([], {})
    positions = np.concatenate([np.asarray(piece[0]) for piece in pieces])
    order = np.argsort(positions)
    names = pieces[0][1]
    tensors = {name: np.concatenate([tensors[name] for _, tensors in pieces])[order] for name in names}
    return positions[order].tolist(), tensors
