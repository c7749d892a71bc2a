"""Ranges: what a column may be, and what is done with a value beyond: refused, clipped to the bound, or flagged."""

from __future__ import annotations

from collections import Counter
from math import ceil, floor, inf, isfinite
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError, RejectedModelError
from onnxlet.steps.base import FLAGS, Preprocessor, Specs, Step, spec_named, with_flags
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensor, Tensors

LONGEST_HEADER = 1000
MATRIX = 2
Value = bool | int | float | str
Policy = Literal["refuse", "clip", "flag"]


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A column from `low` to `high`, both in it, or of certain `values`, counted in `unit`.

    `outside` says what becomes of other values; missing ones, NaN and the empty text, are in every range, and refused
    where `missing` is false. `place` is the column's own in the matrix, where it is in one.
    """

    name: str
    low: float | None = None
    high: float | None = None
    values: tuple[Value, ...] = ()
    missing: bool = True
    outside: Policy = "refuse"
    unit: str = ""
    place: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for what is no range."""
        given = [bound for bound in (self.low, self.high) if bound is not None]
        if not all(map(isfinite, given)) or given != sorted(given):
            raise ValueError(f"the range of {self.name!r} goes from a low number to a high one")
        if self.values and (given or self.outside == "clip"):
            raise ValueError(f"{self.name!r} has values or a range, and values cannot be clipped")

    @property
    def bounded(self) -> bool:
        """Whether there is a value beyond it."""
        return self.low is not None or self.high is not None or bool(self.values)

    @property
    def told(self) -> str:
        """From where to where, in words."""
        low, high = (None if bound is None else f"{bound:.17g}" for bound in (self.low, self.high))
        if self.values:
            said = f"one of {len(self.values)} values"
        elif low is None:
            said = "any" if high is None else f"up to {high}"
        else:
            said = f"from {low}" + ("" if high is None else f" to {high}")
        return said + (f" {self.unit}" if self.unit else "")


class Ranges(Step, frozen=True, tag="ranges", omit_defaults=True):
    """Columns that a user declared ranges and units of.

    `input` is the graph input [N, columns] that they are in; None: each is the graph input [N, 1] or [N] of its own
    name. They hold for every way in, be it by columns or by tensors. Where some are clipped or flagged, the output
    `flags` says of which columns in each row.
    """

    columns: tuple[Range, ...]
    input: str | None = None

    def declared(self) -> bool:
        """They are the user's, no part of the model."""
        return True

    @property
    def flagged(self) -> tuple[Range, ...]:
        """Those whose values beyond are told of in `flags`."""
        return tuple(each for each in self.columns if each.bounded and each.outside != "refuse")

    def fills(self) -> tuple[str, ...]:
        """What it looks at."""
        return tuple(each.name for each in self.columns) if self.input is None else (self.input,)

    def tells(self) -> tuple[str, ...]:
        """The rows that are flagged."""
        return (FLAGS,) if self.flagged else ()

    def adds(self) -> Specs:
        """`flags`."""
        return (TensorSpec(FLAGS, "BYTES", (VARIABLE,)),) if self.flagged else ()

    def preprocessor(self, wanted: Specs) -> Preprocessor | None:
        """What checks them. Raises RejectedModelError for a column in no place, or of what has no such range."""
        checked = [each for each in self.columns if each.bounded or not each.missing]
        for each in checked:
            spec = spec_named(self.input or each.name, wanted)
            if spec.type.kind not in "fiu" and (each.low is not None or each.high is not None):
                raise RejectedModelError(f"a range is of numbers, and the column {each.name!r} is in {spec}")
            if self.input is not None and len(spec.shape) == MATRIX and 0 <= spec.shape[1] <= each.place:
                raise RejectedModelError(f"the column {each.name!r} has no place in {spec}")
        return RangeChecker(self).apply if checked else None

    def describe(self) -> str:
        """The columns and what becomes of values beyond."""
        return "; ".join(
            f"{each.name} {each.told}" + (f", else {each.outside}" if each.bounded else "") for each in self.columns
        )


class RangeChecker:
    """The step with its plan made once; `apply` is what a prediction pays."""

    def __init__(self, step: Ranges) -> None:
        self._input = step.input
        self._columns = [each for each in step.columns if each.bounded or not each.missing]
        self._values = {each.name: np.array(each.values) for each in step.columns if each.values}
        self._flagged = bool(step.flagged)

    def apply(self, tensors: Tensors) -> Tensors:
        """The tensors, with what is clipped, and `flags` [N] where values may be beyond and not refused.

        Raises InvalidInputError for a value that is refused.
        """
        checked = dict(tensors)
        beyond: list[tuple[str, Tensor]] = []
        for column in self._columns:
            name = column.name if self._input is None else self._input
            tensor = checked.get(name)
            if tensor is None or not self._holds(tensor, column):
                # of another shape than the graph's, which says so
                continue
            values = tensor.reshape(-1) if self._input is None else tensor[:, column.place]
            outside = self._outside(values, column)
            if not outside.any():
                continue
            if column.outside == "refuse":
                raise _refusal(column, int(np.argmax(outside)), column.told)
            beyond.append((column.name, outside))
            if column.outside == "clip":
                clipped = values.clip(*_bounds(column, values.dtype))
                checked[name] = clipped.reshape(tensor.shape) if self._input is None else _put(tensor, column, clipped)
        if self._flagged:
            rows = max((len(tensor) for tensor in tensors.values() if tensor.ndim), default=0)
            return with_flags(checked, _texts(beyond, rows))
        return checked

    def _holds(self, tensor: Tensor, column: Range) -> bool:
        return self._input is None or (tensor.ndim == MATRIX and tensor.shape[1] > column.place)

    def _outside(self, values: Tensor, column: Range) -> Tensor:
        """Which of a column's values are beyond its range. Raises InvalidInputError for a missing one."""
        is_missing = values == "" if values.dtype.kind == "O" else values != values  # noqa: PLR0124 - NaN
        if not column.missing and is_missing.any():
            raise _refusal(column, int(np.argmax(is_missing)), "no missing value")
        if column.values:
            unknown: Tensor = ~np.isin(values, self._values[column.name].astype(values.dtype)) & ~is_missing
            return unknown
        low, high = _bounds(column, values.dtype)
        return (values < low) | (values > high)


def count_flags(flags: Tensor) -> Counter[str]:
    """How many rows have each of the columns among their flags; names as `flags` has them."""
    counts: Counter[str] = Counter()
    for text, rows in Counter(flags.tolist()).items():
        counts.update(dict.fromkeys(filter(None, text.split(", ")), rows))
    return counts


def flags_header(flags: Tensor) -> str:
    """`age:3,dose:1`: columns, percent-encoded, and their flagged rows, the most first; `*:7` for those left out."""
    parts: list[str] = []
    length, left = 0, 0
    for name, rows in count_flags(flags).most_common():
        part = f"{quote(name.replace('%2C', ',').replace('%25', '%'), safe='')}:{rows}"
        length += len(part) + 1
        if length > LONGEST_HEADER:
            left += rows
        else:
            parts.append(part)
    return ",".join([*parts, *([f"*:{left}"] if left else [])])


def _bounds(column: Range, dtype: np.dtype[Any]) -> tuple[float, float]:
    """The bounds as the column's own datatype has them, so that what is sent as 0.1 is 0.1."""
    low, high = -inf if column.low is None else column.low, inf if column.high is None else column.high
    if dtype.kind != "f":
        info = np.iinfo(dtype)
        return ceil(max(low, info.min)), floor(min(high, info.max))
    with np.errstate(over="ignore"):
        return float(np.array(low, dtype)), float(np.array(high, dtype))


def _put(matrix: Tensor, column: Range, values: Tensor) -> Tensor:
    changed = matrix.copy()
    changed[:, column.place] = values
    return changed


def _texts(beyond: list[tuple[str, Tensor]], rows: int) -> Tensor:
    """The names of each row's columns that are beyond, separated by `, `; commas within names are encoded."""
    texts = np.full(rows, "", dtype=object)
    for name, outside in beyond:
        encoded = name.replace("%", "%25").replace(",", "%2C")
        (places,) = np.nonzero(outside)
        for place in places.tolist():
            texts[place] = f"{texts[place]}, {encoded}" if texts[place] else encoded
    return texts


def _refusal(column: Range, row: int, taken: str) -> InvalidInputError:
    return InvalidInputError(
        f"the column {column.name!r} is out of its range in row {row}: {taken} is taken", column=column.name, row=row
    )
