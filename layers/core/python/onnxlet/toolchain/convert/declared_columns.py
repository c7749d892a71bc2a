"""Columns that the caller declares: ranges and units, and what the model's own steps say of defaults and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from onnxlet.errors import InvalidInputError, RejectedModelError
from onnxlet.steps import Column, Step, Steps, Tabular
from onnxlet.steps.ranges import Policy, Range, Ranges, Value
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import Signature
from onnxlet.values.spelling import did_you_mean

KINDS = {"f": (float, int), "i": (int,), "u": (int,), "b": (bool,), "s": (str,)}
"""Python's types of defaults and values, by the kind of a datatype."""


class DeclaredColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is declared of one column; what is not said is as the model has it."""

    low: float | None = None
    high: float | None = None
    outside: Policy = "refuse"
    unit: str = ""
    default: bool | int | float | str | None = None
    missing: bool | None = None
    values: tuple[Value, ...] = ()


def read_declared_columns(given: Path | Mapping[str, Any] | None) -> dict[str, DeclaredColumn]:
    """What is declared, by column. Raises InvalidInputError for a file or an object that holds nothing such."""
    document: Any = given or {}
    try:
        if isinstance(given, Path):
            document = msgspec.json.decode(given.read_bytes())
        return msgspec.convert(document, dict[str, DeclaredColumn])
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        name = repr(given.name) if isinstance(given, Path) else "columns"
        raise InvalidInputError(f"{name} cannot be read as what columns may be: {error}") from error


def with_declared_columns(declared: Mapping[str, DeclaredColumn], steps: Steps, graph: Signature) -> Steps:
    """The steps with what is declared. Raises InvalidInputError for what the model cannot do."""
    if not declared:
        return steps
    tabular = next((step for step in steps.each if isinstance(step, Tabular)), None)
    if tabular is None:
        raise InvalidInputError("columns are declared, and the model takes tensors: leave the option out")
    known = {column.name: column for column in tabular.columns}
    for name, column in declared.items():
        if name not in known:
            raise InvalidInputError(f"there is no column {name!r}{did_you_mean(name, known)}", column=name)
        _check(known[name], column)
    try:
        made = Steps(tuple(_declared_steps(declared, tabular, steps)), steps.read)
        for name in made.signature_names:
            made.preprocessor(name, graph)
        made.check(graph, made.served(graph))
    except (ValueError, RejectedModelError) as error:
        reason = error.detail if isinstance(error, RejectedModelError) else error
        raise InvalidInputError(f"the columns cannot be declared so: {reason}") from error
    return made


def _check(column: Column, declared: DeclaredColumn) -> None:
    kind = DATATYPES[column.datatype].kind
    if (declared.low is not None or declared.high is not None) and kind not in "fiu":
        raise InvalidInputError(
            f"a range is of numbers, and the column {column.name!r} is {column.datatype}: list its 'values'"
        )
    given = [*declared.values, *([] if declared.default is None else [declared.default])]
    if any(not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "b") for value in given):
        raise InvalidInputError(f"a default or value of the column {column.name!r} is no {column.datatype}")
    if declared.values and declared.default is not None and declared.default not in declared.values:
        raise InvalidInputError(f"the default of the column {column.name!r} is none of its values")
    if declared.values and kind == "f" and not all(float(value).is_integer() for value in declared.values):
        # a fraction is another number in single precision
        raise InvalidInputError(f"values of the column {column.name!r} are whole numbers: give it a range")
    if declared.missing and not column.missing:
        raise InvalidInputError(f"the model takes no missing values in the column {column.name!r}: give a default")
    if declared.default is not None and column.missing:
        raise InvalidInputError(f"the model takes missing values in the column {column.name!r}, and needs no default")


def _declared_steps(declared: Mapping[str, DeclaredColumn], tabular: Tabular, steps: Steps) -> Iterator[Step]:
    places = {column.name: place for place, column in enumerate(tabular.columns)}
    ranges = tuple(
        Range(
            name,
            each.low,
            each.high,
            each.values,
            each.missing is not False,
            each.outside,
            each.unit,
            places[name] if tabular.input else 0,
        )
        for name, each in declared.items()
    )
    for step in steps.each:
        if step is tabular:
            yield msgspec.structs.replace(tabular, columns=tuple(_with_default(c, declared) for c in tabular.columns))
            yield Ranges(ranges, tabular.input)
        else:
            yield step


def _with_default(column: Column, declared: Mapping[str, DeclaredColumn]) -> Column:
    said = declared.get(column.name)
    if said is None or said.default is None:
        return column
    return Column(column.name, column.datatype, said.default, column.missing)
