"""JSON Lines (one JSON value a line, UTF-8): rows in, rows and predictions out.

For a model with named columns a line is an object of them; for any other it is an instance as TensorFlow Serving's
REST API takes it: the bare value of the only input, or an object of the inputs' values. The output is one object a
line: `row`, then every member that the model does not use, then its outputs. A member that is called like an output
or `row` is carried over as `input_<name>`. Blank lines are no rows. Null is a missing value to a model that can do
with one; a column without a default that is not there at all is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from onnxlet.batch.formats.cells import BadCellError, Empty, parse_json, read_column
from onnxlet.batch.formats.chunks import CHUNK_BYTES, BadRow, Batch, Chunk, ParsedRows
from onnxlet.batch.formats.columns import parse_columns
from onnxlet.batch.formats.ports import Sink, Source
from onnxlet.batch.formats.streams import read_lines
from onnxlet.batch.inputs import ROW, Inputs, free_name
from onnxlet.steps import Column
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor, Tensors


def open_file(source: Source, sink: Sink, inputs: Inputs) -> JsonLinesFile:
    """Open a JSON Lines file for a model."""
    return JsonLinesFile(source, sink, inputs)


class JsonLinesFile:
    """A JSON Lines file opened for a model."""

    def __init__(self, source: Source, sink: Sink, inputs: Inputs) -> None:
        self._source = source
        self._sink = sink
        self._inputs = inputs
        self._used = {column.name for column in inputs.columns or ()} or {spec.name for spec in inputs.specs}
        self._taken = {ROW, *(spec.name for spec in inputs.outputs)}

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` and some megabytes at a time; lines that are no JSON, or no row, are bad."""
        chunk, size, number = Chunk(), 0, 0
        for line in read_lines(self._source):
            if line.isspace():
                continue
            number += 1
            size += len(line)
            try:
                row = self._read_row(orjson.loads(line))
            except orjson.JSONDecodeError:
                chunk.bad.append(BadRow(number, "not JSON in UTF-8"))
            except BadCellError as error:
                chunk.bad.append(BadRow(number, str(error)))
            else:
                chunk.numbers.append(number)
                chunk.rows.append(row)
            if len(chunk.rows) + len(chunk.bad) >= rows or size >= CHUNK_BYTES:
                yield chunk
                chunk, size = Chunk(), 0
        if chunk.rows or chunk.bad:
            yield chunk

    def _read_row(self, value: object) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        if self._inputs.columns is not None:
            raise BadCellError("not an object of the model's columns")
        if len(self._inputs.specs) > 1:
            raise BadCellError("not an object of the model's inputs")
        return {self._inputs.specs[0].name: value}

    def parse(self, chunk: Chunk) -> ParsedRows:
        """The tensors of a chunk's rows: columns if the model has them, instances otherwise."""
        columns = self._inputs.columns
        return self._parse_instances(chunk) if columns is None else self._parse_columns(chunk, columns)

    def _parse_columns(self, chunk: Chunk, columns: Iterable[Column]) -> ParsedRows:
        def cells_of(name: str) -> list[Any]:
            return [row.get(name, Empty.ABSENT) for row in chunk.rows]

        tensors, positions, bad = parse_columns(chunk, columns, cells_of, parse_json)
        inputs = {spec.name: tensors[spec.name].reshape(-1, *spec.shape[1:]) for spec in self._inputs.specs}
        return ParsedRows([Batch(positions, inputs)] if positions else [], bad)

    def _parse_instances(self, chunk: Chunk) -> ParsedRows:
        """Rows whose tensors have the same shapes form a batch: inputs may have free dimensions besides the first."""
        groups: dict[tuple[tuple[int, ...], ...], list[tuple[int, list[Tensor]]]] = {}
        bad: list[BadRow] = []
        for position, row in enumerate(chunk.rows):
            tensors: list[Tensor] = []
            for spec in self._inputs.specs:
                try:
                    tensors.append(_read_element(row.get(spec.name, Empty.ABSENT), spec))
                except BadCellError as error:
                    bad.append(BadRow(chunk.numbers[position], str(error), spec.name))
                    break
            else:
                groups.setdefault(tuple(tensor.shape for tensor in tensors), []).append((position, tensors))
        return ParsedRows([self._stack(members) for members in groups.values()], bad)

    def _stack(self, members: list[tuple[int, list[Tensor]]]) -> Batch:
        stacked = {
            spec.name: np.stack([tensors[place] for _, tensors in members])
            for place, spec in enumerate(self._inputs.specs)
        }
        return Batch([position for position, _ in members], stacked)

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:
        """Append the rows at `positions`."""
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in outputs.items()}
        for place, position in enumerate(positions):
            carried = {
                free_name(name, self._taken): value
                for name, value in chunk.rows[position].items()
                if name not in self._used
            }
            answers = {name: _as_json(tensor[place]) for name, tensor in contiguous.items()}
            line = {ROW: chunk.numbers[position], **carried, **answers}
            self._sink.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Nothing stands at the end of JSON Lines."""


def _read_element(value: object, spec: TensorSpec) -> Tensor:
    """One row's part of an input. Raises BadCellError if it is missing, ragged, or of another type or shape."""
    if value is Empty.ABSENT:
        raise BadCellError(f"no member of this name, which holds a row's {_name_shape(spec)}")
    if value is None:
        raise BadCellError("missing value")
    shape = _find_shape(value)
    wanted = spec.shape[1:]
    if len(shape) != len(wanted) or any(w not in {VARIABLE, got} for w, got in zip(wanted, shape, strict=True)):
        raise BadCellError(f"has shape {list(shape)} where the model takes {list(wanted)}")
    tensor, faults = read_column(_flatten(value, shape), spec.type, parse_json)
    if faults:
        raise BadCellError(next(iter(faults.values())))
    return tensor.reshape(shape)


def _name_shape(spec: TensorSpec) -> str:
    """What an element is in words: a model without named columns cannot tell which member belongs where in it."""
    shape = spec.shape[1:]
    return f"list of shape {list(shape)}" if shape else "value"


def _find_shape(value: object) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _flatten(value: object, shape: tuple[int, ...]) -> list[Any]:
    """What stands inside the lists. Raises BadCellError unless all lists of a level have the level's length."""
    level: list[Any] = [value]
    for size in shape:
        if any(type(item) is not list or len(item) != size for item in level):
            raise BadCellError("ragged: its lists differ in length")
        level = list(chain.from_iterable(level))
    return level


def _as_json(element: Any) -> object:  # noqa: ANN401 - an array's element or a smaller array
    if isinstance(element, np.ndarray):
        return element.tolist() if element.dtype == object else element
    # ONNX Runtime's 64-bit integers are C's long long, of which orjson knows arrays only
    return element.item() if isinstance(element, np.integer) else element
