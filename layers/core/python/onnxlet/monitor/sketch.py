"""The sketch: how often live rows lay in which bin of a baseline, in integers, so that sketches add up exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import add
from typing import Literal

import msgspec
import numpy as np

from onnxlet.errors import IntegrityError, InvalidInputError
from onnxlet.monitor.baseline import Baseline, Column, slices_of, take_slice
from onnxlet.monitor.columns import columns_of
from onnxlet.monitor.scores import Scores, ScoresDocument, add_scores, keep_known
from onnxlet.values.canonical import canonical
from onnxlet.values.tensors import Tensor, Tensors

SCHEMA = 1
Side = Literal["inputs", "outputs"]
INPUTS: Side = "inputs"
OUTPUTS: Side = "outputs"
SIDES = (INPUTS, OUTPUTS)


class SketchDocument(msgspec.Struct, frozen=True):
    """A sketch as it is stored: counts by column, in the baseline's order, the last of each those of missing values.

    Of its rows `keyed` are one of each routing key; `repeated` are rows that were left out since their key had one.
    `slices` are those of the baseline's slices, by value, as far as they were written by now.
    `scores` are those in today's bins.
    """

    baseline: str
    rows: int
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    scores: ScoresDocument = {}
    keyed: int = 0
    repeated: int = 0
    slices: dict[str, SketchDocument] = {}
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Let go of scores in other bins than today's: the counts beside them are as good as ever."""
        msgspec.structs.force_setattr(self, "scores", keep_known(self.scores))


class Sketch:
    """Counts of live rows in the bins of one baseline, which it knows by digest."""

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline
        self.rows = self.keyed = self.repeated = 0
        self.scores = Scores()
        self._added_scores: ScoresDocument = {}
        self._digest = baseline.pinned
        self.slices = {value: Sketch(each) for value, each in baseline.slices.items()}
        self._unsliced = 0
        """Rows of no slice since slices were written."""
        self._columns: dict[Side, dict[str, Column]] = {
            INPUTS: {column.name: column for column in baseline.columns},
            OUTPUTS: {column.name: column for column in baseline.outputs},
        }
        self._counts = {
            side: {name: np.zeros(len(column.counts) + 1, dtype=np.int64) for name, column in columns.items()}
            for side, columns in self._columns.items()
        }

    def fold(
        self,
        inputs: Tensors,
        outputs: Tensors,
        names: Mapping[str, tuple[str, ...]] | None = None,
        dropped: Iterable[str] = (),
    ) -> None:
        """Count rows [N, ...]. Columns that the baseline lacks, or that are `dropped`, are left out."""
        self.rows += len(next(iter(inputs.values()), ()))
        for side, tensors in ((INPUTS, inputs), (OUTPUTS, outputs)):
            known, counts = self._columns[side], self._counts[side]
            for name, column in columns_of(tensors, names or {}, dropped):
                if name in known:
                    counts[name] += known[name].count(column)
        if self.slices:
            self._fold_slices(inputs, outputs, names or {}, dropped)

    def _fold_slices(
        self, inputs: Tensors, outputs: Tensors, names: Mapping[str, tuple[str, ...]], dropped: Iterable[str]
    ) -> None:
        by = self.baseline.sliced_by
        values = None if by in (away := tuple(dropped)) else slices_of(inputs, names, by)
        for value in set(values or ()):
            if value in self.slices:
                self.slices[value].fold(*take_slice((inputs, outputs), values or [], value), names, away)
        self._unsliced += sum(value not in self.slices for value in values or ())

    def take_slices(self, before: Sketch) -> None:
        """Go on with the slices of a sketch that was written without them."""
        self.slices, self._unsliced = before.slices, before._unsliced

    def has_sliced(self, fewest: int) -> bool:
        """Whether each slice that has rows, and the rest, has so many that none can be told from the others."""
        groups = [*(sketch.rows for sketch in self.slices.values()), self._unsliced]
        return any(groups) and all(rows == 0 or rows >= fewest for rows in groups)

    def add(self, document: SketchDocument) -> None:
        """Add the counts of another sketch. Raises InvalidInputError if it has another baseline's bins."""
        if document.baseline != self._digest:
            raise InvalidInputError(
                f"the sketch counts in the bins of {document.baseline}, not of {self._digest}: "
                "compare it with its own baseline"
            )
        sides = ((INPUTS, document.inputs), (OUTPUTS, document.outputs))
        for side, columns in sides:
            for name, counts in columns.items():
                if name not in self._counts[side] or len(counts) != len(self._counts[side][name]):
                    raise InvalidInputError(f"the sketch has other counts of {name!r} than its baseline has bins")
        for side, columns in sides:
            for name, counts in columns.items():
                self._counts[side][name] += np.array(counts, dtype=np.int64)
        self._added_scores = add_scores(self._added_scores, document.scores)
        self.rows += document.rows
        for value, part in document.slices.items():
            if value not in self.slices:
                raise InvalidInputError(f"the sketch has a slice {value!r}, which its baseline has not")
            self.slices[value].add(part)
        self.keyed += document.keyed
        self.repeated += document.repeated

    def columns(self, side: Side) -> Iterator[tuple[Column, Tensor]]:
        """Each column of `inputs` or `outputs`, as the baseline has it, with the live counts."""
        for name, column in self._columns[side].items():
            yield column, self._counts[side][name]

    def document(self, *, sliced: bool = True) -> SketchDocument:
        """What is stored, with the slices that have rows or without."""
        return SketchDocument(
            self._digest,
            self.rows,
            self._stored(INPUTS),
            self._stored(OUTPUTS),
            add_scores(self._added_scores, self.scores.document()),
            self.keyed,
            self.repeated,
            {value: each.document() for value, each in self.slices.items() if sliced and each.rows},
        )

    def _stored(self, side: Side) -> dict[str, tuple[int, ...]]:
        return {name: tuple(counts.tolist()) for name, counts in self._counts[side].items()}


def add_documents(first: SketchDocument, second: SketchDocument) -> SketchDocument:
    """The counts of both. Raises InvalidInputError if they have not the same bins."""
    if first.baseline != second.baseline:
        raise InvalidInputError(f"sketches of the baselines {first.baseline} and {second.baseline} do not add up")
    return SketchDocument(
        first.baseline,
        first.rows + second.rows,
        _added(first.inputs, second.inputs),
        _added(first.outputs, second.outputs),
        add_scores(first.scores, second.scores),
        first.keyed + second.keyed,
        first.repeated + second.repeated,
        _added_slices(first.slices, second.slices),
    )


def _added_slices(first: dict[str, SketchDocument], second: dict[str, SketchDocument]) -> dict[str, SketchDocument]:
    both = {**first, **second}
    return both | {value: add_documents(first[value], second[value]) for value in first.keys() & second.keys()}


def _added(first: dict[str, tuple[int, ...]], second: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    if {name: len(counts) for name, counts in first.items()} != {name: len(counts) for name, counts in second.items()}:
        raise InvalidInputError("two sketches of one baseline have other columns, or other bins: one was changed")
    return {name: tuple(map(add, counts, second[name])) for name, counts in first.items()}


def encode_sketch(document: SketchDocument) -> bytes:
    """Canonical JSON."""
    return canonical(document)


def decode_sketch(document: bytes) -> SketchDocument:
    """The sketch that was written. Raises IntegrityError if it is none, or a newer onnxlet's."""
    try:
        sketch = msgspec.json.decode(document, type=SketchDocument)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise IntegrityError(f"this is no sketch: {error}") from error
    if sketch.schema != SCHEMA:
        raise IntegrityError(f"the sketch has schema {sketch.schema}, this onnxlet reads {SCHEMA}: upgrade onnxlet")
    return sketch
