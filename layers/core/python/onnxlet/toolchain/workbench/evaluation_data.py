"""Evaluation data: the rows of a file as a converted model's inputs, the truth about them, and columns to slice by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.serving.engine import Engine, OnnxEngine, load_engine
from onnxlet.steps import Steps
from onnxlet.toolchain.workbench.arrays import Arrays
from onnxlet.toolchain.workbench.data import Data, Target, open_data
from onnxlet.toolchain.workbench.directory import read_steps
from onnxlet.toolchain.workbench.evaluation import graph_inputs, run_columns, run_graph
from onnxlet.toolchain.workbench.pictures import read_pictures
from onnxlet.toolchain.workbench.reference import Reference, find_reference
from onnxlet.toolchain.workbench.slices import Slicing, make_slicing
from onnxlet.toolchain.workbench.table import Table, lacking_columns, quoted
from onnxlet.toolchain.workbench.truth import truth_of
from onnxlet.values.manifest import Draft
from onnxlet.values.tensors import Tensor, Tensors

Group = str | Tensor
"""The column of the data that names each row's group, or the groups themselves [rows]."""

RUN_DEADLINE = 600.0
"""Seconds of a run, which ends only what would never end by itself."""


@dataclass(frozen=True)
class EvaluationData:
    """Rows, the truth about them where it is known, and what was answered to them at conversion.

    `given` are graph inputs; or columns, which steps make larger tensors of, where there is something to `prepare`.
    """

    given: Tensors
    rows: int
    truth: Tensor | None
    digest: str
    cells: Table | Arrays
    reference: Reference | None
    """None if the model was converted with other data, or with none."""
    targets: tuple[str, ...] = ()
    """What the truth is called in the data."""
    prepare: Callable[[Tensors], Tensors] | None = None

    @cached_property
    def inputs(self) -> Tensors:
        """The graph's inputs."""
        return self.given if self.prepare is None else self.prepare(self.given)

    def run(self, engine: Engine, steps: Steps) -> Tensors:
        """The graph's own outputs, as `run_columns` names them. Raises as the engine does."""
        run = run_graph if self.prepare is None else run_columns
        return run(engine, steps, self.given)

    def take(self, rows: Tensor) -> EvaluationData:
        """The rows at these positions; the cells stay those of all rows."""
        reference = self.reference
        return replace(
            self,
            given=_take(self.given, rows),
            rows=len(rows),
            truth=None if self.truth is None else self.truth[rows],
            reference=None
            if reference is None
            else Reference(
                reference.data_digest, {stage: _take(each, rows) for stage, each in reference.stages.items()}
            ),
        )

    def slicings(self, columns: Sequence[str]) -> list[Slicing]:
        """The rows cut by each of the columns. Raises InvalidInputError for a column that is not there."""
        return [self._slicing(column) for column in columns]

    def groups(self, group: Group) -> Tensor:
        """The group of each row. Raises InvalidInputError for a column that is not there, and for too few values."""
        names = np.array(self.cells.column(group), dtype=object) if isinstance(group, str) else np.asarray(group)
        if names.shape != (self.rows,):
            raise InvalidInputError(
                f"the groups have the shape {list(names.shape)}, one for each of {self.rows} rows is needed"
            )
        return names

    def _slicing(self, column: str) -> Slicing:
        cells = self.cells
        texts = cells.column(column)
        numeric = cells.is_numeric(column) if isinstance(cells, Table) else cells.columns[column].dtype.kind != "O"
        return make_slicing(column, texts, cells.numbers(column) if numeric else None)


def read_evaluation_data(directory: Path, draft: Draft, engine: Engine, data: Data, target: Target) -> EvaluationData:
    """The rows of `data` for the model in a converted directory.

    Raises InvalidInputError for columns that do not fit the model, a target that holds no truth, and data that only the
    framework can read and did not read at conversion.
    """
    steps = read_steps(directory, draft).of_model
    names = tuple(spec.name for spec in (engine.signature.inputs if steps.columns is None else steps.columns))
    cells, targets = open_data(data, target, names, tensors=steps.columns is None)
    reference = find_reference(directory, cells.digest)
    apart = [step.target for step in steps.targets if step.classes == (0, 1) and not step.labels]
    truth = truth_of(cells, targets, [(step.classes, step.labels) for step in steps.targets], apart)
    if steps.encoded and isinstance(cells, Table):
        inputs = read_pictures(cells, targets, steps, engine.signature)
    else:
        inputs = reference.inputs if reference and reference.inputs else _inputs(steps, engine, cells)
    prepare = None if steps.most_rows is None else partial(graph_inputs, engine, steps)
    return EvaluationData(inputs, cells.rows, truth, cells.digest, cells, reference, targets, prepare)


def unknown_answers(evaluation: EvaluationData, option: str = "--data") -> InvalidInputError:
    """That the model's own answers to these rows are not known."""
    name = evaluation.cells.name
    return InvalidInputError(
        f"what the model itself answers to {name!r} is not known: convert it with this {option}, then "
        "optimize and verify what comes out",
        data=name,
    )


def open_graph(graph: Path, *, threads: int = 1, optimized: bool = False) -> OnnxEngine:
    """The graph, to be measured: patiently, for nobody waits for an answer, and the machine may be busy.

    `optimized` ones are not optimized again. Raises RejectedModelError.
    """
    return load_engine(graph, threads=threads, optimized=optimized, run_deadline=RUN_DEADLINE)


def _take(tensors: Tensors, rows: Tensor) -> Tensors:
    return {name: tensor[rows] for name, tensor in tensors.items()}


def _inputs(steps: Steps, engine: Engine, cells: Table | Arrays) -> Tensors:
    if steps.columns is not None:
        if not isinstance(cells, Table):
            raise InvalidInputError(f"the model reads columns, {cells.name!r} holds arrays: give --data a CSV file")
        missing = [column.name for column in steps.columns if column.name not in cells.columns]
        if missing:
            raise lacking_columns(cells, missing, (column.name for column in steps.columns))
        columns = {column.name: cells.tensor(column.name, column.datatype) for column in steps.columns}
        return columns if steps.most_rows is not None else graph_inputs(engine, steps, columns)
    if not isinstance(cells, Arrays):
        raise InvalidInputError(
            f"only the framework can read {cells.name!r} for a model without named columns: convert the model with it, "
            "or give --data a .npz file with an array for each input"
        )
    missing = [spec.name for spec in engine.signature.inputs if spec.name not in cells.columns]
    if missing:
        raise InvalidInputError(
            f"{cells.name!r} lacks arrays for the inputs {quoted(missing)}; it has {quoted(cells.columns)}",
            missing=missing,
        )
    return {spec.name: cells.columns[spec.name].astype(spec.type.numpy, copy=False) for spec in engine.signature.inputs}
