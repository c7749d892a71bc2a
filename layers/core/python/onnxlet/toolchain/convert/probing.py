"""Probing: the graph is compared with the model on rows made of what the model itself knows.

Where the model refuses a row there is nothing to compare, and where the graph refuses one that nobody fitted the model
for, nothing wrong is said. All else must agree: silently different answers are what this looks for.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np

from onnxlet.errors import ConversionError, ExecutionError, InvalidInputError
from onnxlet.serving.engine import Engine
from onnxlet.steps import Steps, Tabular
from onnxlet.toolchain.convert.synthetic_rows import synthetic_columns
from onnxlet.toolchain.convert.tabular.own_rows import as_frame
from onnxlet.toolchain.convert.trained_model import Export, ModelRows, TrainedModel
from onnxlet.toolchain.workbench.agreement import Agreement, compare_rows
from onnxlet.toolchain.workbench.evaluation import run_columns
from onnxlet.toolchain.workbench.privacy import values_are_shown
from onnxlet.toolchain.workbench.probing_rows import Knowledge, ProbingRows, RowMaker
from onnxlet.toolchain.workbench.reference import SOURCE, Reference
from onnxlet.values.manifest import Probing, Tolerance
from onnxlet.values.tensors import Tensor, Tensors

SEED = 0
BASE_ROWS = 512
"""Rows, drawn from the statistics of the data, that probing rows are made of."""
ALONE = 4
"""Rows that are also asked one by one."""
ALIKE = 64
"""Rows that are asked as the user holds them and as they are made here."""
BATCH = 7
"""Rows of other batches, which no power of two divides."""
UNFITTED = (
    "unknown category",
    "missing value",
    "row with several missing values",
    "infinity",
    "number of another size",
)
"""Kinds of rows that a graph may refuse, be it that the model answers them."""


@runtime_checkable
class KnowsColumns(Protocol):
    """A trained model that tells what it knows of its columns."""

    def known_columns(self, rows: ModelRows) -> Knowledge:
        """Thresholds, categories and words, by the names of the columns."""


@dataclass
class ProbingResult:
    """What came of comparing: the counts, an example of what must not be, and the rows with the answers that count."""

    counts: Probing = field(default_factory=Probing)
    near: int = 0
    """Rows within the range that the model was fitted for to which the graph answers otherwise."""
    example: str = ""
    columns: list[Tensors] = field(default_factory=list)
    answers: list[Tensors] = field(default_factory=list)

    def add(self, rows: ProbingRows, expected: Tensors, agreement: Agreement) -> None:
        """Count these rows, and keep those on which the graph is held to the model's answers."""
        far = agreement.differ & rows.far
        self.near += int((agreement.differ & ~rows.far).sum())
        self.counts = msgspec.structs.replace(
            self.counts,
            rows=self.counts.rows + len(rows.far),
            tied=self.counts.tied + int(agreement.tied.sum()),
            beyond=self.counts.beyond + int(far.sum()),
        )
        kept = np.flatnonzero(~agreement.tied & ~far)
        self.columns.append(rows.take(kept).columns)
        self.answers.append(_take(expected, kept))

    def refuse(self, count: int) -> None:
        """Count rows that the graph refuses."""
        self.counts = msgspec.structs.replace(self.counts, refused=self.counts.refused + count)

    def reference(self) -> Reference | None:
        """The rows, and the model's answers to them; None if there are none."""
        if not self.answers:
            return None
        return Reference("", {SOURCE: _join(self.answers)}, _join(self.columns))


@dataclass(frozen=True)
class Prober:
    """A model, rows of its data, and within which tolerance a graph must answer alike."""

    model: TrainedModel
    rows: ModelRows
    tolerance: Tolerance
    _asked: dict[Tabular, list[tuple[ProbingRows, Tensors]]] = field(default_factory=dict)

    def compare(self, export: Export, engine: Engine) -> ProbingResult:
        """Compare the graph with the model. Raises ExecutionError where it refuses rows that it must answer."""
        result = ProbingResult()
        if export.tabular is not None and isinstance(self.model, KnowsColumns):
            for rows, expected in self._ask(export.tabular, self.model):
                self._compare(engine, export.steps, rows, expected, result)
        return result

    def _compare(
        self, engine: Engine, steps: Steps, rows: ProbingRows, expected: Tensors, result: ProbingResult
    ) -> None:
        try:
            answers = run_columns(engine, steps, rows.columns)
            apart = _run_apart(engine, steps, rows.columns)
        except ExecutionError:
            if rows.kind not in UNFITTED:
                raise
            parts = list(rows.by_column())
            if len(parts) == 1:
                return result.refuse(len(rows.far))
            for part in parts:
                same = np.flatnonzero(rows.changed == part.changed[0])
                self._compare(engine, steps, part, _take(expected, same), result)
            return None
        names = [step.names for step in steps.targets]
        agreement = compare_rows(expected, answers, names, self.tolerance)
        few = np.arange(len(next(iter(apart.values()))))
        also = compare_rows(_take(expected, few), apart, names, self.tolerance)
        own = self._predict_apart(rows) if also.differ.any() else None
        if own is not None:
            # it may itself answer a row alone otherwise than among others
            also = compare_rows(own, apart, names, self.tolerance)
        agreement.differ[few] |= also.differ
        wrong = np.flatnonzero(agreement.differ & ~rows.far)
        if len(wrong) and not result.example:
            result.example = _describe(rows, expected, answers, int(wrong[0]))
        return result.add(rows, expected, agreement)

    def _ask(self, tabular: Tabular, model: KnowsColumns) -> list[tuple[ProbingRows, Tensors]]:
        """The rows in the datatypes that are served, and the model's answers; without those that it refuses."""
        if tabular not in self._asked:
            self._asked[tabular] = list(self._answers(tabular, model))
        return self._asked[tabular]

    def _answers(self, tabular: Tabular, model: KnowsColumns) -> Iterator[tuple[ProbingRows, Tensors]]:
        if not self._is_answered_alike:
            return
        # none of the data's rows is written down
        served = synthetic_columns(self.rows.served(tabular), BASE_ROWS, seed=SEED)
        missing = frozenset(column.name for column in tabular.columns if column.missing)
        infinite = _taken_infinite(tabular, self.rows)
        maker = RowMaker(served, model.known_columns(self.rows), missing, infinite, seed=SEED)
        for rows in maker.make():
            for part, answers in self._answered(rows):
                finite = _finite_rows(answers)
                if len(finite):
                    yield part.take(finite), _take(answers, finite)

    def _answered(self, rows: ProbingRows) -> Iterator[tuple[ProbingRows, Tensors]]:
        """The rows that the model answers, with its answers: of those that it refuses, each half by itself."""
        answers = self._predict(rows.written)
        if answers is not None:
            yield rows, answers
        elif len(rows.far) > 1:
            half = len(rows.far) // 2
            for part in (np.arange(half), np.arange(half, len(rows.far))):
                yield from self._answered(rows.take(part))

    @cached_property
    def _is_answered_alike(self) -> bool:
        """Whether rows that are made here are to the model what the user's own are."""
        some = self.rows.take(np.arange(min(self.rows.count, ALIKE)))
        if some.own is None:
            return True
        made, own = self._predict(some.columns), self._predict(some.columns, some.own)
        if made is None or own is None:
            return False
        return not compare_rows(own, made, [], Tolerance(1e-9, 1e-9)).differ.any()

    def _predict_apart(self, rows: ProbingRows) -> Tensors | None:
        """The model's answers to the first rows, apart as the graph is asked; None where it refuses some."""
        parts = [self._predict(_take(rows.written, part)) for part in _parts_apart(len(rows.far))]
        answers = [part for part in parts if part is not None]
        return _join(answers) if len(answers) == len(parts) else None

    def _predict(self, columns: Tensors, own: Any = None) -> Tensors | None:
        """The model's answers; None where it refuses the rows."""
        doubles = {
            name: column if column.dtype.kind == "O" else column.astype(np.float64) for name, column in columns.items()
        }
        rows = ModelRows(doubles, booleans=self.rows.booleans, own=self._as_own(doubles) if own is None else own)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                # of numbers that overflow, and categories that are not known
                warnings.simplefilter("ignore")
                return self.model.predict(rows)
        except (InvalidInputError, ConversionError, ArithmeticError, ValueError, TypeError):
            return None

    def _as_own(self, columns: Tensors) -> Any:
        """The rows as a DataFrame of numbers where the user's are one; else None, and the model makes its own."""
        own = self.rows.own
        if not hasattr(own, "iloc") or any(column.dtype.kind == "O" for column in columns.values()):
            return None
        return as_frame(
            {
                own.columns[index]: column.astype(bool) if name in self.rows.booleans else column
                for index, (name, column) in enumerate(columns.items())
            }
        )


def _taken_infinite(tabular: Tabular, rows: ModelRows) -> frozenset[str]:
    """The columns in which the served version takes infinities."""
    names = frozenset(column.name for column in tabular.columns)
    finite = rows.finite(tabular)
    if finite is not None:
        return names - (frozenset(finite.columns) - frozenset(finite.infinite))
    return frozenset() if rows.infinite is None else names


def _run_apart(engine: Engine, steps: Steps, columns: Tensors) -> Tensors:
    """The answers to the first rows, one by one and then in a batch of another size."""
    count = len(next(iter(columns.values())))
    return _join([run_columns(engine, steps, _take(columns, part)) for part in _parts_apart(count)])


def _parts_apart(count: int) -> list[Tensor]:
    """Which of `count` rows are asked together."""
    bounds = [*range(min(ALONE, count) + 1), *([min(ALONE + BATCH, count)] if count > ALONE else [])]
    return [np.arange(*pair) for pair in pairwise(bounds)]


def _describe(rows: ProbingRows, expected: Tensors, answers: Tensors, row: int) -> str:
    """One row that is answered otherwise: what was changed in it; values only where the caller wants them."""
    name = str(rows.changed[row])
    what = f"a {rows.kind} in the column {name!r}"
    if not values_are_shown():
        return what
    pairs = {each: (tensor[row].tolist(), expected[each][row]) for each, tensor in answers.items() if each in expected}
    said = ", ".join(f"{each} {got!r} for {np.asarray(own).tolist()!r}" for each, (got, own) in pairs.items())
    return f"{what}, {rows.columns[name][row]!r}: {said}"


def _finite_rows(answers: Tensors) -> Tensor:
    """The positions of rows to which the model answers with finite numbers."""
    rows = len(next(iter(answers.values())))
    finite = [np.isfinite(each.reshape(rows, -1)).all(axis=1) for each in answers.values() if each.dtype.kind == "f"]
    return np.flatnonzero(np.logical_and.reduce(finite)) if finite else np.arange(rows)


def _take(tensors: Tensors, rows: Tensor) -> Tensors:
    return {name: tensor[rows] for name, tensor in tensors.items()}


def _join(parts: list[Tensors]) -> Tensors:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
