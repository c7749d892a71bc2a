"""The baseline: how often a model met what, in the rows that it was made for. It holds counts, and no row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import islice
from typing import Literal

import msgspec
import numpy as np

from onnxlet.errors import IntegrityError, InvalidInputError
from onnxlet.monitor.bins import FEWEST, count_in_bins, count_with_missing, draw_edges
from onnxlet.monitor.columns import columns_of, count_texts, is_text, present_numbers, present_texts
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import digest
from onnxlet.values.tensors import Tensor, Tensors

SCHEMA = 1
MOST_CATEGORIES = 16
MOST_SLICES = 8
FEWEST_OF_SLICE = 50
"""Rows of the baseline that a slice has, at least."""
_NO_VALUE = ("", "nan")
_DIGITS = 3
_SEED = 0
_CLIPPED = (0.001, 0.999)


class Numbers(msgspec.Struct, frozen=True, tag="numbers", tag_field="kind"):
    """Numbers of a column, or the lengths of its texts, by the bin they lie in.

    `edges` are upper ends of the bins, of which there is one more; `deciles` are the places of those edges that are
    deciles. `spread` is the standard deviation of what lies between 0.1 and 99.9 %.
    """

    name: str
    edges: tuple[float, ...]
    deciles: tuple[int, ...]
    counts: tuple[int, ...]
    missing: int
    spread: float
    of: Literal["value", "length"] = "value"

    def count(self, column: Tensor) -> Tensor:
        """How many of a column's values lie in each bin, and how many are missing."""
        if self.of == "value":
            return count_with_missing(column, self.edges)
        lengths = np.array([len(text) for text in present_texts(column)], dtype=np.float64)
        counts = count_with_missing(lengths, self.edges)
        counts[-1] = len(column) - len(lengths)
        return counts


class Categories(msgspec.Struct, frozen=True, tag="categories", tag_field="kind"):
    """The most frequent values of a column of texts, each in ten rows or more; the last count is that of all others.

    Where there are others, a half of the rows, drawn at random, chose the values, and `tested` counts the other half:
    those that were chosen because they came often are expected to come less often again, by a test too.
    """

    name: str
    values: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int
    tested: tuple[int, ...] = ()

    def count(self, column: Tensor) -> Tensor:
        """How many rows have each of the values, any other, and none."""
        found = count_texts(column)
        counts = _counts(self.values, found)
        return np.array([*counts, len(column) - found.total()])


Column = Numbers | Categories


def tested_counts(column: Column) -> tuple[int, ...]:
    """The counts that a test compares live ones with."""
    return (column.tested or column.counts) if isinstance(column, Categories) else column.counts


class Baseline(msgspec.Struct, frozen=True, dict=True):
    """The columns of `rows` rows, and of the answers to them (`outputs`).

    `slices` are baselines of the rows that have one value each of the column `sliced_by`, by that value.
    """

    rows: int
    columns: tuple[Column, ...]
    outputs: tuple[Column, ...] = ()
    schema: int = SCHEMA
    sliced_by: str = ""
    slices: dict[str, Baseline] = {}
    measured: tuple[str, ...] = ()
    """Columns that are measures of pictures and texts, of some rows."""

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical(self)

    @cached_property
    def pinned(self) -> str:
        """The digest of its bytes, those that it was read from if it was, by which a sketch says whose bins it has."""
        return digest(self.encode())

    def pin(self, document: bytes) -> None:
        """Stay what was read, though a later onnxlet, whose baselines have more fields, would write other bytes."""
        self.__dict__["pinned"] = digest(document)
        for value, part in (msgspec.json.decode(document, type=_Slices).slices if self.slices else {}).items():
            self.slices[value].pin(bytes(part))


class _Slices(msgspec.Struct):
    slices: dict[str, msgspec.Raw]


def decode_baseline(document: bytes) -> Baseline:
    """The baseline that was written. Raises IntegrityError if it is none, or a newer onnxlet's."""
    try:
        baseline = msgspec.json.decode(document, type=Baseline)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise IntegrityError(f"this is no baseline: {error}") from error
    if baseline.schema != SCHEMA:
        raise IntegrityError(f"the baseline has schema {baseline.schema}, this onnxlet reads {SCHEMA}: upgrade onnxlet")
    baseline.pin(document)
    return baseline


def draw_baseline(
    inputs: Tensors,
    outputs: Tensors | None = None,
    *,
    names: Mapping[str, tuple[str, ...]] | None = None,
    dropped: Iterable[str] = (),
    sliced_by: str = "",
) -> Baseline:
    """Count the rows [N, ...] of `inputs`, in the datatypes that are served, and of what a model answered to them.

    `names` are those of the columns of a matrix; `dropped` columns are left out. Rows with the most frequent values of
    the column `sliced_by`, eight at most, are counted on their own too. Raises InvalidInputError where it makes no
    slices.
    """
    away = tuple(dropped)
    rows = next((len(tensor) for tensor in (*inputs.values(), *(outputs or {}).values())), 0)
    columns = tuple(_drawn(name, column) for name, column in columns_of(inputs, names or {}, away))
    answers = tuple(_drawn(name, column) for name, column in columns_of(outputs or {}, names or {}, away))
    drawn = Baseline(rows, columns, answers)
    return _sliced(drawn, (inputs, outputs or {}), names or {}, away, sliced_by) if sliced_by else drawn


def slices_of(tensors: Tensors, names: Mapping[str, tuple[str, ...]], sliced_by: str) -> list[str] | None:
    """The value of each row in the column by which rows are sliced, as text; None where there is no such column."""
    column = next((column for name, column in columns_of(tensors, names) if name == sliced_by), None)
    if column is None:
        return None
    values = column.tolist()
    if not is_text(column):
        return [f"{value:g}" for value in values]
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "") for value in values]


def _sliced(
    whole: Baseline,
    sides: tuple[Tensors, Tensors],
    names: Mapping[str, tuple[str, ...]],
    dropped: tuple[str, ...],
    sliced_by: str,
) -> Baseline:
    values = slices_of(sides[0], names, sliced_by) if sliced_by not in dropped else None
    if values is None:
        raise InvalidInputError(f"there is no column {sliced_by!r} that is counted, by which rows could be sliced")
    frequent = [(value, count) for value, count in Counter(values).most_common(MOST_SLICES) if value not in _NO_VALUE]
    chosen = [value for value, count in frequent if count >= FEWEST_OF_SLICE]
    if sum(count for value, count in frequent if value in chosen) * 2 < len(values):
        raise InvalidInputError(
            f"{sliced_by!r} makes no slices: half of the rows must have one of {MOST_SLICES} values, "
            f"in {FEWEST_OF_SLICE} rows each"
        )
    slices = {
        value: draw_baseline(*take_slice(sides, values, value), names=names, dropped=dropped)
        for value in sorted(chosen)
    }
    return msgspec.structs.replace(whole, sliced_by=sliced_by, slices=slices)


def take_slice(sides: tuple[Tensors, Tensors], values: list[str], value: str) -> tuple[Tensors, Tensors]:
    """The rows of a slice, of inputs and of outputs."""
    own = np.array([each == value for each in values], dtype=bool)
    inputs, outputs = (
        {name: tensor[own] for name, tensor in side.items() if tensor.ndim and len(tensor) == len(values)}
        for side in sides
    )
    return inputs, outputs


def _drawn(name: str, column: Tensor) -> Column:
    if not is_text(column):
        return _numbers(name, present_numbers(column), len(column), "value")
    present = present_texts(column)
    found = Counter(present)
    values = _frequent(found, found, FEWEST)
    tested: tuple[int, ...] = ()
    if len(values) < len(found):
        chosen = np.random.default_rng(_SEED).permutation(len(present))[: len(present) // 2]
        first = Counter(present[place] for place in chosen.tolist())
        values = _frequent(first, found, FEWEST // 2)
        tested = _counts(values, found - first)
    counts = _counts(values, found)
    if counts[-1] * 2 > len(present):  # free text: what it says is nobody's business here
        lengths = np.array([len(text) for text in present], dtype=np.float64)
        return _numbers(name, lengths, len(column), "length")
    return Categories(name, values, counts, len(column) - len(present), tested)


def _frequent(counted: Counter[str], found: Counter[str], fewest: int) -> tuple[str, ...]:
    """The values that were `counted` most often, `fewest` times or more, of those that ten rows share."""
    most = (value for value, count in counted.most_common() if count >= fewest and found[value] >= FEWEST)
    return tuple(islice(most, MOST_CATEGORIES))


def _counts(values: tuple[str, ...], found: Counter[str]) -> tuple[int, ...]:
    known = [found[value] for value in values]
    return (*known, found.total() - sum(known))


def _numbers(name: str, present: Tensor, rows: int, of: Literal["value", "length"]) -> Numbers:
    finite = present[np.isfinite(present)]
    edges, deciles = draw_edges(finite)
    counts = count_in_bins(present, edges)
    return Numbers(
        name=name,
        edges=tuple(edges.tolist()),
        deciles=deciles,
        counts=tuple(counts.tolist()),
        missing=rows - len(present),
        spread=_spread(finite) if len(edges) else 0.0,
        of=of,
    )


def _spread(values: Tensor) -> float:
    clipped = np.clip(values, *np.quantile(values, _CLIPPED))
    return float(f"{clipped.std():.{_DIGITS}g}")
