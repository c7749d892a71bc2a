"""The CSV that is written: rows with what the model says of them behind their own cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxlet.batch.formats.texts import interleave, join_alike, to_integers, write_cells
from onnxlet.batch.inputs import MODEL_VERSION, ROW, Inputs, free_name
from onnxlet.errors import InvalidInputError
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.tensors import Tensors

if TYPE_CHECKING:
    from onnxlet.batch.formats.csv_dialect import Dialect
    from onnxlet.batch.formats.ports import Sink

_CELL = re.compile(rb'(?:^|,)("(?:[^"]|"")*"|[^,]*)')


class CsvLayout:
    """Which columns of a file with this header are written, and how those of the outputs are called.

    Raises InvalidInputError for columns to keep that the file has not.
    """

    def __init__(self, header: list[str], inputs: Inputs, dialect: Dialect) -> None:
        self.dialect = dialect
        self._header = header
        self._inputs = inputs
        self._kept = inputs.find_kept(header)
        self._whole = len(self._kept) == len(header)
        version = inputs.version
        self.end = b"\n" if version is None else b",%d\n" % version

    def keep(self, rows: Sequence[bytes]) -> list[Sequence[bytes]]:
        """The kept cells of rows, as one column; none if no column is kept."""
        if self._whole or not self._kept:
            return [rows] if self._kept else []
        return [[b",".join([cells[place] for place in self._kept]) for cells in map(_cut_cells, rows)]]

    def declared(self) -> bytes:
        """The header, for outputs of the shapes that the signature has."""
        return self.header([title for spec in self._inputs.outputs for title in self.title(spec.name, spec.shape)])

    def header(self, titles: list[str]) -> bytes:
        """The line that names the columns."""
        added = [ROW, *titles, *([] if self._inputs.version is None else [MODEL_VERSION])]
        kept = [free_name(self._header[place], set(added)) for place in self._kept]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(map(self.dialect.hide, [*kept, *added]))
        return self.dialect.from_commas(text.getvalue().encode())

    def title(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """How the columns of an output are called."""
        width = int(np.prod(shape[1:], dtype=int))
        if width == 1 or VARIABLE in shape[1:]:
            return [name]
        titles = self._inputs.titles.get(name, ())
        return list(titles) if len(titles) == width else [f"{name}.{place}" for place in range(width)]


class CsvOutput:
    """Rows and outputs of a model, written to a sink."""

    def __init__(self, sink: Sink, layout: CsvLayout) -> None:
        self._sink = sink
        self._layout = layout
        self._titles: list[str] | None = None
        self.heading: bytes | None = None
        """The header of what was written, which the sink does not get."""

    def write(self, rows: Sequence[bytes], numbers: Sequence[int], outputs: Tensors) -> None:
        """Append rows by their own bytes, with their numbers. Raises InvalidInputError if outputs vary in width."""
        titles = [title for name, tensor in outputs.items() for title in self._layout.title(name, tensor.shape)]
        if self._titles is None:
            self._titles, self.heading = titles, self._layout.header(titles)
        elif titles != self._titles:
            raise InvalidInputError("the model's outputs vary in size from row to row: score JSON Lines instead of CSV")
        dialect = self._layout.dialect
        answers = join_alike([to_integers(numbers), *(tensor for tensor in outputs.values() if tensor.size)])
        columns = [*self._layout.keep(rows), *(write_cells(answer, dialect.hide) for answer in answers)]
        written = interleave(columns, [b","] * (len(columns) - 1) + [self._layout.end], len(rows))
        self._sink.write(dialect.from_commas(written))


def _cut_cells(row: bytes) -> list[bytes]:
    """The cells of a row, as their bytes."""
    return _CELL.findall(row) if b'"' in row else row.split(b",")
