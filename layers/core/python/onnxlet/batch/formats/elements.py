"""Values of a row, nested lists of JSON's types, as elements of a model's inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from onnxlet.batch.formats.cells import BadCellError, Empty, Parse, parse_json, read_column
from onnxlet.batch.formats.chunks import BadRow, Batch, Chunk, ParsedRows
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor


def read_elements(
    chunk: Chunk,
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    specs: Sequence[TensorSpec],
    parse: Parse = parse_json,
) -> ParsedRows:
    """Rows by their positions in a chunk, each with values by the names of a model's inputs.

    Rows whose tensors have the same shapes form a batch: inputs may have free dimensions besides the first.
    """
    bad: list[BadRow] = []
    groups: dict[tuple[tuple[int, ...], ...], list[tuple[int, list[Tensor]]]] = {}
    for position, row in rows:
        tensors: list[Tensor] = []
        for spec in specs:
            try:
                tensors.append(_read_element(row.get(spec.name, Empty.ABSENT), spec, parse))
            except BadCellError as error:
                bad.append(BadRow(chunk.numbers[position], str(error), spec.name))
                break
        else:
            groups.setdefault(tuple(tensor.shape for tensor in tensors), []).append((position, tensors))
    return ParsedRows([_stack(members, specs) for members in groups.values()], bad)


def _stack(members: list[tuple[int, list[Tensor]]], specs: Sequence[TensorSpec]) -> Batch:
    stacked = {spec.name: np.stack([tensors[place] for _, tensors in members]) for place, spec in enumerate(specs)}
    return Batch([position for position, _ in members], stacked)


def _read_element(value: object, spec: TensorSpec, parse: Parse) -> Tensor:
    """One row's part of an input. Raises BadCellError if it is missing, ragged, or of another type or shape."""
    if value is Empty.ABSENT:
        raise BadCellError(f"no member of this name, which holds a row's {_name_shape(spec)}")
    if value is None:
        raise BadCellError("missing value")
    shape = _find_shape(value)
    wanted = spec.shape[1:]
    if len(shape) != len(wanted) or any(w not in {VARIABLE, got} for w, got in zip(wanted, shape, strict=True)):
        raise BadCellError(f"has shape {list(shape)} where the model takes {list(wanted)}")
    tensor, faults = read_column(_flatten(value, shape), spec.type, parse)
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
