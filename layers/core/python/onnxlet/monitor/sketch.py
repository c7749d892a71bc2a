"""The sketch: how often live rows lay in which bin of a baseline, in integers, so that sketches add up exactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec
import numpy as np

from onnxlet.errors import IntegrityError, InvalidInputError
from onnxlet.monitor.baseline import Baseline, Column
from onnxlet.monitor.columns import columns_of
from onnxlet.monitor.scores import Scores, ScoresDocument, add_scores
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
    """

    baseline: str
    rows: int
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    scores: ScoresDocument = {}
    keyed: int = 0
    repeated: int = 0
    schema: int = SCHEMA


class Sketch:
    """Counts of live rows in the bins of one baseline, which it knows by digest."""

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline
        self.rows = self.keyed = self.repeated = 0
        self.scores = Scores()
        self._added_scores: ScoresDocument = {}
        self._digest = baseline.pinned()
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
        self.keyed += document.keyed
        self.repeated += document.repeated

    def columns(self, side: Side) -> Iterator[tuple[Column, Tensor]]:
        """Each column of `inputs` or `outputs`, as the baseline has it, with the live counts."""
        for name, column in self._columns[side].items():
            yield column, self._counts[side][name]

    def document(self) -> SketchDocument:
        """What is stored."""
        return SketchDocument(
            self._digest,
            self.rows,
            self._stored(INPUTS),
            self._stored(OUTPUTS),
            add_scores(self._added_scores, self.scores.document()),
            self.keyed,
            self.repeated,
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
    )


def _added(first: dict[str, tuple[int, ...]], second: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    if {name: len(counts) for name, counts in first.items()} != {name: len(counts) for name, counts in second.items()}:
        raise InvalidInputError("two sketches of one baseline have other columns, or other bins: one was changed")
    return {name: tuple(map(sum, zip(counts, second[name], strict=True))) for name, counts in first.items()}


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
