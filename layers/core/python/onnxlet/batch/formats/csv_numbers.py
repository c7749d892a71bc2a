"""Many CSV rows → columns of tensors at once, exactly; which rows it is not sure of is said, and another one judges.

Two ways. Where what the model reads stands together, nothing but numbers, rows are cut to it and joined by a number
that stands for a row's end, and simdjson reads them as one list: each row's end must be found in its place, and nowhere
else a number that is as large. Else numpy finds the separators, without those in quotes, and blanks out what the model
does not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np

from onnxlet.batch.formats.cells import EXACT_FLOAT, parse_text, read_column
from onnxlet.batch.formats.csv_dialect import Dialect
from onnxlet.batch.formats.csv_edges import Edges
from onnxlet.batch.formats.csv_rows import FIELD_BYTES
from onnxlet.batch.formats.numbers import NumberReader
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.tensors import Tensors

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Places = np.ndarray[Any, np.dtype[np.intp]]
Octets = np.ndarray[Any, np.dtype[np.uint8]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]

ROW_END, ROW_END_VALUE = b",1e308,", 1e308
EMPTY, EMPTY_VALUE = b"1e307", 1e307
LARGEST = float(np.finfo(np.float32).max)
"""No number beyond it is read here, so that those above cannot be a cell's."""

COMMA, LINE_FEED, CARRIAGE_RETURN, QUOTE, SPACE, ZERO = b',\n\r" 0'
_NUMERIC = np.zeros(256, np.bool_)
_NUMERIC[list(b"0123456789.+-eE,\n\r\t ")] = True

Item = TypeVar("Item")

FEW_ROWS = 32
"""So many rows are not divided any more to find those that are no numbers."""

CAUTION = 8
"""Blocks that are read by their separators after one that could not be read without."""


class Reading(NamedTuple):
    """Some rows as a tensor [N] per column, by their positions, and the positions of those to be judged."""

    positions: Places
    tensors: Tensors
    doubtful: Places


class _Cells(NamedTuple):
    """Numbers of the columns of numbers, where they are empty cells, and the texts of the others."""

    numbers: Matrix
    gaps: Flags | None
    texts: dict[str, list[str]]


class CsvNumbers:
    """Reads rows of a table `width` cells wide; `places` are those of its columns by their names.

    Its cells are between commas; what the `dialect` put there is restored in texts.
    """

    def __init__(self, columns: Sequence[Column], places: dict[str, int], width: int, dialect: Dialect) -> None:
        self._columns = columns
        self._width = width
        self._dialect = dialect
        present = [column for column in columns if column.name in places]
        self._numeric = [column for column in present if DATATYPES[column.datatype].kind in "fi"]
        self._texts = {column.name: places[column.name] for column in present if column not in self._numeric}
        self._places = np.array([places[column.name] for column in self._numeric], np.intp)
        self._edges = None if self._texts else _find_edges(self._places, width)
        ranks = np.argsort(np.argsort(self._places))
        self._order = None if (ranks == np.arange(len(ranks))).all() else ranks
        """Where numbers of the columns are among those of the file; None if they are in order."""
        self._unread = np.ones(width, np.bool_)
        self._unread[self._places] = False
        self._limits = _Limits(self._numeric)
        self._reader = NumberReader()
        self._caution = 0
        self._gaps = False
        """Whether the rows before these had empty cells."""

    def read(self, rows: list[bytes]) -> list[Reading]:
        """What can be read of whole rows, of which none has a quote that opens within a cell."""
        readings: list[Reading] = []
        positions = np.arange(len(rows))
        cores = None if self._edges is None else self._edges.cut_all(rows)
        if cores is None or None not in cores:
            self._read(rows, cores, positions, readings)
            return readings
        uncut = np.array([core is None for core in cores], np.bool_)
        self._read(_select(rows, ~uncut), _select(cores, ~uncut), positions[~uncut], readings)
        self._read(_select(rows, uncut), None, positions[uncut], readings)
        return readings

    def _read(
        self, rows: list[bytes], cores: list[bytes | None] | None, positions: Places, readings: list[Reading]
    ) -> None:
        """Read rows; what is doubtful for a reason that can be seen is left out, and else halved until it is few.

        `cores` are the rows' cells that are read, where these stand together.
        """
        if not rows:
            return
        found = self._find_cells(rows, cores)
        if isinstance(found, _Cells):
            readings.append(self._convert(found, positions))
        elif found.any():
            readings.append(Reading(positions[:0], {}, positions[found]))
            self._read(_select(rows, ~found), cores and _select(cores, ~found), positions[~found], readings)
        elif len(rows) <= FEW_ROWS:
            readings.append(Reading(positions[:0], {}, positions))
        else:
            for half in (slice(None, len(rows) // 2), slice(len(rows) // 2, None)):
                self._read(rows[half], cores and cores[half], positions[half], readings)

    def _find_cells(self, rows: list[bytes], cores: list[bytes | None] | None) -> _Cells | Flags:
        """The cells of all rows; or which rows are doubtful, none of them if that cannot be told."""
        if cores is not None:
            cells = None if self._caution else self._read_plainly(rows, cores)
            if cells is not None:
                return cells
            foreign = _find_foreign(cores)
            if foreign.any():
                return foreign
            self._caution = (self._caution or CAUTION) - 1
        return self._read_by_separators(rows)

    def _read_plainly(self, rows: list[bytes], cores: list[bytes | None]) -> _Cells | None:
        """Rows that are numbers and nothing else between their edges; None if unsure."""
        text = ROW_END.join((b"[1", *cores, b"1]"))  # type: ignore[arg-type] # there is none that is None
        whole = text if rows is cores else b"".join(rows)
        if b"\r" in whole or len(max(rows, key=len)) > FIELD_BYTES or not _is_text(whole):
            return None
        flat, empty = None if self._gaps else self._reader.read(text), 0
        if flat is None:
            text, empty = _fill_gaps(text)
            if empty or self._gaps:
                flat = self._reader.read(text)
            self._gaps = empty > 0
        width = len(self._numeric) + 1
        if flat is None or flat.size != len(rows) * width + 3:
            return None
        table = flat[2:-1].reshape(-1, width)
        if not (table[:, -1] == ROW_END_VALUE).all():
            return None
        numbers, gaps = table[:, :-1], None
        if empty:
            gaps = numbers == EMPTY_VALUE
            if np.count_nonzero(gaps) != empty:
                return None
            numbers[gaps] = 0
        if numbers.max() > LARGEST or numbers.min() < -LARGEST:
            return None
        return self._arrange(numbers, gaps, {})

    def _read_by_separators(self, rows: list[bytes]) -> _Cells | Flags:
        """Rows with texts, quotes and gaps; or which are doubtful."""
        data = b"\n".join(rows) + b"\n"
        doubtful = _find_unreadable(rows, data)
        if doubtful is not None:
            return doubtful
        octets = np.frombuffer(data, np.uint8)
        ends, quotes, doubtful = _find_ends(octets, data, self._width)
        if doubtful.any():
            return doubtful
        starts = np.empty_like(ends)
        starts.flat[0], starts.flat[1:] = 0, ends.flat[:-1] + 1
        texts = {name: _cut(data, starts[:, place], ends[:, place]) for name, place in self._texts.items()}
        if not self._numeric:
            return _Cells(np.empty((len(rows), 0)), None, texts)
        return self._read_numbers(octets, starts, ends, quotes, texts)

    def _read_numbers(
        self, octets: Octets, starts: Places, ends: Places, quotes: Flags | None, texts: dict[str, list[str]]
    ) -> _Cells | Flags:
        """The columns of numbers, of cells whose places are known."""
        text = octets.copy()
        text[ends[:, -1]] = COMMA
        gaps = starts == ends
        missing = gaps[:, ~self._unread]
        if quotes is not None:
            text[quotes] = SPACE
            hollow = (ends - starts == len('""')) & quotes[starts]
            text[starts[hollow]] = ZERO
            missing = missing | hollow[:, ~self._unread]
        if self._unread.any():
            text[_find_insides(starts[:, self._unread], ends[:, self._unread] + 1, len(text))] = SPACE
            gaps[:, self._unread] = False
        padded = np.insert(text, starts[gaps], ZERO) if gaps.any() else text
        flat = self._reader.read(b"[" + padded.tobytes() + b"1]")
        if flat is None or flat.size != missing.size + 1:
            doubtful = np.zeros(len(starts), np.bool_)
            doubtful[np.searchsorted(ends[:, -1], np.flatnonzero(~_NUMERIC[text]))] = True
            return doubtful
        return self._arrange(flat[:-1].reshape(missing.shape), missing if missing.any() else None, texts)

    def _arrange(self, numbers: Matrix, gaps: Flags | None, texts: dict[str, list[str]]) -> _Cells:
        """Numbers in the order of the file, in that of the columns."""
        if self._order is None:
            return _Cells(numbers, gaps, texts)
        return _Cells(numbers[:, self._order], None if gaps is None else gaps[:, self._order], texts)

    def _convert(self, cells: _Cells, positions: Places) -> Reading:
        """Columns of numbers in their own datatypes; rows with a number that one cannot hold are doubtful."""
        doubtful = self._limits.find_beyond(cells.numbers, cells.gaps)
        tensors: Tensors = {}
        # one transposition, so that each column is a row
        with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond are left out below
            columns = np.ascontiguousarray(cells.numbers.T, dtype=self._limits.dtype)
            for place, column in enumerate(self._numeric):
                tensors[column.name] = columns[place].astype(DATATYPES[column.datatype].numpy, copy=False)
        if cells.gaps is not None:
            for place, column in enumerate(self._numeric):
                if column.filler() is not None:
                    tensors[column.name][cells.gaps[:, place]] = column.filler()
        for column in self._columns:
            if column.name in cells.texts:
                datatype = DATATYPES[column.datatype]
                texts = self._dialect.restore(cells.texts[column.name])
                values, faults = read_column(
                    texts, datatype, parse_text, missing=column.filler(), absent=column.default
                )
                doubtful[list(faults)] = True
                tensors[column.name] = values
            elif column.name not in tensors:
                tensors[column.name] = np.full(len(positions), column.default, DATATYPES[column.datatype].numpy)
        tensors = {column.name: tensors[column.name] for column in self._columns}
        if not doubtful.any():
            return Reading(positions, tensors, positions[:0])
        return Reading(
            positions[~doubtful], {name: tensor[~doubtful] for name, tensor in tensors.items()}, positions[doubtful]
        )


class _Limits:
    """What numbers the columns' datatypes hold; beyond it, and where a cell must not be empty, another one judges."""

    def __init__(self, columns: Sequence[Column]) -> None:
        datatypes = [DATATYPES[column.datatype] for column in columns]
        self._whole = np.array([datatype.kind == "i" for datatype in datatypes], np.bool_)
        bounds = [_find_bounds(datatype.numpy) for datatype in datatypes]
        self._low = np.array([low for low, _ in bounds])
        self._high = np.array([high for _, high in bounds])
        self._needed = np.array([column.filler() is None for column in columns], np.bool_)
        single = all(datatype.name == "FP32" for datatype in datatypes)
        self.dtype: type[np.floating[Any]] = np.float32 if single else np.float64
        """Of a matrix that holds all of the numbers that are within them."""

    def find_beyond(self, numbers: Matrix, gaps: Flags | None) -> Flags:
        """Flags of the rows that have such a cell."""
        beyond = np.zeros(len(numbers), np.bool_)
        if not numbers.size:
            return beyond
        if numbers.max() > self._high.min() or numbers.min() < self._low.max():
            beyond |= ((numbers > self._high) | (numbers < self._low)).any(axis=1)
        if self._whole.any():
            whole = numbers[:, self._whole]
            beyond |= (whole != np.floor(whole)).any(axis=1)
        if gaps is not None and self._needed.any():
            beyond |= gaps[:, self._needed].any(axis=1)
        return beyond


def _find_edges(places: Places, width: int) -> Edges | None:
    """What is at the edges of columns that stand together; None if they do not."""
    if not len(places) or int(places.max() - places.min()) >= len(places):
        return None
    return Edges(int(places.min()), width - 1 - int(places.max()))


def _select(items: list[Item], flags: Flags) -> list[Item]:
    return [item for item, flag in zip(items, flags.tolist(), strict=True) if flag]


def _find_bounds(dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.kind == "f":
        largest = min(float(np.finfo(dtype).max), LARGEST)
        return -largest, largest
    limits = np.iinfo(dtype)
    return max(limits.min, 1 - EXACT_FLOAT), min(limits.max, EXACT_FLOAT - 1)


def _fill_gaps(text: bytes) -> tuple[bytes, int]:
    """A list with a number in each gap between two commas, and how many gaps there were."""
    commas = np.frombuffer(text, np.uint8) == COMMA
    gaps = np.flatnonzero(commas[1:] & commas[:-1]) + 1
    if not len(gaps):
        return text, 0
    return EMPTY.join([text[start:end] for start, end in pairwise([0, *gaps.tolist(), len(text)])]), len(gaps)


def _find_foreign(cores: list[bytes | None]) -> Flags:
    """Flags of the rows in which something stands that no number has."""
    data = b"\n".join(cores)  # type: ignore[arg-type] # there is none that is None
    ends = np.cumsum(np.fromiter(map(len, cores), np.intp, len(cores)) + 1)  # type: ignore[arg-type]
    flags = np.zeros(len(cores), np.bool_)
    foreign = np.flatnonzero(~_NUMERIC[np.frombuffer(data, np.uint8)])
    flags[np.searchsorted(ends, foreign, side="right")] = True
    return flags


def _find_insides(starts: Places, ends: Places, size: int) -> Flags:
    """Flags of the bytes that are from a start to before its end."""
    edges = np.zeros(size + 1, np.int8)
    edges[starts] += 1
    edges[ends] -= 1
    return np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)


def _find_unreadable(rows: list[bytes], data: bytes) -> Flags | None:
    """Flags of rows that are too long or no UTF-8; None if there are none."""
    flags = np.zeros(len(rows), np.bool_)
    if len(max(rows, key=len)) > FIELD_BYTES:
        flags |= [len(row) > FIELD_BYTES for row in rows]
    if not _is_text(data):
        flags |= [not _is_text(row) for row in rows]
    return flags if flags.any() else None


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _find_ends(octets: Octets, data: bytes, width: int) -> tuple[Places, Flags | None, Flags]:
    """Where cells end [rows, width], where quotes are, and flags of rows of another width, or with a lone CR."""
    separators = (octets == COMMA) | (octets == LINE_FEED)
    quotes = outside = None
    if b'"' in data:
        quotes = octets == QUOTE
        outside = np.cumsum(quotes, dtype=np.uint8) & 1 == 0
        separators &= outside
    ends = np.flatnonzero(separators)
    row_ends = np.flatnonzero(octets[ends] == LINE_FEED)
    doubtful = np.diff(row_ends, prepend=-1) != width
    if b"\r" in data:
        returns = octets == CARRIAGE_RETURN
        if outside is not None:
            returns &= outside
        doubtful[np.searchsorted(ends[row_ends], np.flatnonzero(returns))] = True
    return (ends if doubtful.any() else ends.reshape(-1, width)), quotes, doubtful


def _cut(data: bytes, starts: Places, ends: Places) -> list[str]:
    """Cells as texts, without their quotes."""
    cells = [data[start:end].decode() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    if b'"' not in data:
        return cells
    return [cell[1:-1].replace('""', '"') if cell[:1] == '"' else cell for cell in cells]
