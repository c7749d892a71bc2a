"""Lines of JSON → columns of tensors, many at once and exactly: msgspec reads each into a struct of the columns.

A line that is not just so, with a member that no line before it had, or a value of another type, is doubtful, and
another one judges it. What it finds a member of good lines to be is learned, and lines with it are read quickly too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np

from onnxlet.batch.formats.cells import Empty, parse_json, read_column
from onnxlet.steps import Column
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors

MOST_MEMBERS = 1000
"""Members that are not the model's, beyond which no more are learned."""

_SCALAR = float | str | bool | None
"""What is not read: a number too large for a float is no JSON to the judge, and no float here."""
_LONG_INTEGER = re.compile(rb"[0-9]{309}")
_LARGEST_INTEGER = 2**63

Matrix = np.ndarray[Any, np.dtype[np.float64]]

_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of lines."""


class Reading(NamedTuple):
    """Some lines as tensors, by their positions, and the positions of those to be judged."""

    positions: list[int]
    tensors: Tensors
    doubtful: list[int]


class JsonColumns:
    """Reads lines that are objects of named columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._floats = [column for column in columns if DATATYPES[column.datatype].kind == "f"]
        self._cells = [column for column in columns if DATATYPES[column.datatype].kind != "f"]
        self._limits = np.array([float(np.finfo(DATATYPES[column.datatype].numpy).max) for column in self._floats])
        self._least = min(self._limits, default=0.0)
        self._names = {column.name for column in columns}
        self._others: dict[str, Any] = {}
        self._decode = self._make_decoder()

    @property
    def members(self) -> Iterable[str]:
        """The names of all members that good lines had, or may have."""
        return self._names | self._others.keys()

    def learn(self, row: dict[str, Any]) -> None:
        """Take note of the members of a line that was found good."""
        before = dict(self._others)
        for name in row.keys() - self._names:
            nested = isinstance(row[name], list | dict)
            if nested or name not in self._others:
                self._others[name] = Any if nested else _SCALAR
        if self._others != before and len(self._others) <= MOST_MEMBERS:
            self._decode = self._make_decoder()

    def read(self, lines: Sequence[bytes]) -> Reading:
        """The lines that are objects of the columns, with members that are known."""
        if self._decode is None:
            return Reading([], {}, list(range(len(lines))))
        rows, doubtful = _decode_all(self._decode, lines)
        if self._cells or Any in self._others.values():  # what is repeated is read, and forgotten
            long = [place for place, line in enumerate(lines) if _LONG_INTEGER.search(line)]
            doubtful = sorted({*doubtful, *long})
        positions = _without(len(lines), doubtful)
        if not positions:
            return Reading([], {}, doubtful)
        good = rows if len(positions) == len(lines) else [rows[position] for position in positions]
        tensors, beyond = self._convert(good)
        if not beyond:
            return Reading(positions, tensors, doubtful)
        certain = _without(len(positions), sorted(beyond))
        return Reading(
            [positions[place] for place in certain],
            {name: tensor[certain] for name, tensor in tensors.items()},
            sorted({*doubtful, *(positions[place] for place in beyond)}),
        )

    def _make_decoder(self) -> Callable[[bytes], Any] | None:
        """A decoder of lines; None if a member's name is none that msgspec takes."""
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for column in self._floats:
            kind = float if column.filler() is None else float | None
            default = () if column.default is None else (float(column.default),)
            fields.append((column.name, kind, *default))
        fields += [(column.name, Any, Empty.ABSENT) for column in self._cells]
        fields += [(name, kind, None) for name, kind in self._others.items()]
        names = {f"m{place}": field[0] for place, field in enumerate(fields)}
        try:
            row = msgspec.defstruct(
                "Row",
                [(name, *field[1:]) for name, field in zip(names, fields, strict=True)],
                rename=names,
                kw_only=True,  # so that members without a default may stand behind others
                forbid_unknown_fields=True,
                gc=False,
            )
        except ValueError:
            return None
        return msgspec.json.Decoder(row).decode

    def _convert(self, rows: Sequence[Any]) -> tuple[Tensors, set[int]]:
        """Columns of good lines, and the places of those with a value that a datatype does not hold."""
        width = len(self._floats)
        records = list(map(msgspec.structs.astuple, rows))
        cells: list[tuple[Any, ...]] = []
        if self._cells or self._others:
            cells = list(zip(*(record[width : width + len(self._cells)] for record in records), strict=True))
            records = [record[:width] for record in records]
        numbers = _to_numbers(records, width)
        beyond: set[int] = set()
        low, high = (reduce(numbers, axis=None, initial=0) for reduce in (np.fmin.reduce, np.fmax.reduce))
        if low < -self._least or high > self._least:
            beyond = set(np.flatnonzero((np.abs(numbers) > self._limits).any(axis=1)).tolist())
        tensors: Tensors = {}
        single = {column.datatype for column in self._floats} == {"FP32"}
        with np.errstate(over="ignore"):  # numbers beyond are left out
            columns = np.ascontiguousarray(numbers.T, dtype=np.float32 if single else np.float64)
            for place, column in enumerate(self._floats):
                values = columns[place].astype(DATATYPES[column.datatype].numpy, copy=False)
                if column.default is not None:
                    # no number is NaN in JSON, so it was null
                    values[np.isnan(numbers[:, place])] = column.default
                tensors[column.name] = values
        for place, column in enumerate(self._cells):
            values, faults = read_column(
                cells[place], DATATYPES[column.datatype], parse_json, missing=column.filler(), absent=column.default
            )
            beyond |= faults.keys()
            tensors[column.name] = values
        return {column.name: tensors[column.name] for column in self._columns}, beyond


class JsonInstances:
    """Reads lines that are the value of a model's only input: numbers, or lists of a fixed shape of them."""

    def __init__(self, spec: TensorSpec) -> None:
        self._spec = spec
        kind: Any = {"f": float, "i": int}.get(spec.type.kind)
        self._shape = spec.shape[1:]
        for _ in self._shape:
            kind = list[kind]
        self._decode: Callable[[bytes], Any] | None = None
        if spec.type.kind in "fi" and all(size > 0 for size in self._shape):
            self._decode = msgspec.json.Decoder(kind).decode

    def read(self, lines: Sequence[bytes]) -> Reading:
        """The lines that are such values."""
        if self._decode is None:
            return Reading([], {}, list(range(len(lines))))
        values, doubtful = _decode_all(self._decode, lines)
        positions = [
            position for position in _without(len(lines), doubtful) if _has_shape(values[position], self._shape)
        ]
        level: Iterable[Any] = [values[position] for position in positions]
        for _ in self._shape:
            level = chain.from_iterable(level)
        dtype = np.dtype(np.float64 if self._spec.type.kind == "f" else np.int64)
        try:
            numbers = np.fromiter(level, dtype).reshape(len(positions), prod(self._shape))
        except OverflowError:
            return Reading([], {}, list(range(len(lines))))
        within = self._find_within(numbers)
        positions = np.array(positions, np.intp)[within].tolist()
        tensor = numbers[within].astype(self._spec.type.numpy, copy=False).reshape(-1, *self._shape)
        certain = set(positions)
        return Reading(
            positions, {self._spec.name: tensor}, [place for place in range(len(lines)) if place not in certain]
        )

    def _find_within(self, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Flags of the rows whose numbers the input's datatype holds."""
        if self._spec.type.kind == "f":
            flags = np.abs(numbers) <= float(np.finfo(self._spec.type.numpy).max)
        else:
            limits = np.iinfo(self._spec.type.numpy)
            flags = (numbers >= limits.min) & (numbers <= min(limits.max, _LARGEST_INTEGER - 1))
        within: np.ndarray[Any, np.dtype[np.bool_]] = flags.all(axis=1)
        return within


def _decode_all(decode: Callable[[bytes], Any], lines: Sequence[bytes]) -> tuple[list[Any], list[int]]:
    """What each line holds, and the places of those that cannot be read so."""
    try:
        return list(map(decode, lines)), []
    except _FAULTS:
        pass
    values: list[Any] = []
    doubtful = []
    for place, line in enumerate(lines):
        try:
            values.append(decode(line))
        except _FAULTS:
            values.append(None)
            doubtful.append(place)
    return values, doubtful


def _to_numbers(records: list[tuple[Any, ...]], width: int) -> Matrix:
    """Records of numbers as a matrix, NaN for null."""
    size = len(records) * width
    try:
        flat = np.fromiter(chain.from_iterable(records), np.float64, size)
    except TypeError:
        flat = np.array(list(chain.from_iterable(records)), np.float64)
    return flat.reshape(len(records), width)


def _has_shape(value: Any, shape: tuple[int, ...]) -> bool:  # noqa: ANN401 - lists within lists
    if not shape:
        return True
    return len(value) == shape[0] and (len(shape) == 1 or all(_has_shape(part, shape[1:]) for part in value))


def _without(size: int, places: Sequence[int]) -> list[int]:
    """All places but these."""
    if not places:
        return list(range(size))
    left_out = set(places)
    return [place for place in range(size) if place not in left_out]
