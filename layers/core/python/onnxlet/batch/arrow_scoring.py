"""Rows of an Arrow batch scored where they are: what engines of data frames hand over, and take back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table

from onnxlet.batch.formats.arrow_columns import plan_reading
from onnxlet.batch.formats.arrow_outputs import ArrowOutputs
from onnxlet.batch.formats.chunks import CHUNK_ROWS, BadRow, Chunk
from onnxlet.batch.inputs import MODEL_VERSION, Inputs, free_name
from onnxlet.batch.rows import ScoredRows, score_rows
from onnxlet.values.tensors import Tensors, stack_padded

if TYPE_CHECKING:
    from onnxlet.batch.rows import RowModel

ERROR = "error"
"""The column that says why a row was not scored; it is null for all others."""


class ArrowScorer:
    """Scores batches by a model: `schema` is that of what it adds. A bad row has nulls, and its reason in `error`."""

    def __init__(self, model: RowModel, inputs: Inputs) -> None:
        self._model = model if inputs.explaining is None else inputs.explaining.wrap(model)
        self._inputs = inputs
        self._outputs = ArrowOutputs(inputs)
        added = [
            field if field.name == MODEL_VERSION else field.with_nullable(nullable=True)
            for field in self._outputs.fields
        ]
        self.schema = Schema([*added, Field(ERROR, DataType.string())])

    def choose_kept(self, names: Sequence[str]) -> dict[str, str]:
        """Which columns of rows stay, and under which names. Raises InvalidInputError for one that is not there."""
        taken = set(self.schema.names)
        return {names[place]: free_name(names[place], taken) for place in self._inputs.find_kept(names)}

    def score_table(self, table: Table) -> Table:
        """What is added to a table's rows, as one batch. Raises as `score`."""
        (batch,) = table.combine_chunks().to_batches() or [
            RecordBatch.from_arrays(_empty(table.schema), schema=table.schema)
        ]
        return Table.from_batches([self.score(batch)], schema=self.schema)

    def score(self, batch: RecordBatch) -> RecordBatch:
        """What is added to a batch's rows, in their order.

        Raises InvalidInputError if columns lack, or hold what the model never takes.
        """
        read = plan_reading(batch.schema, self._inputs)
        runs: list[ScoredRows] = []
        bad: list[BadRow] = []
        for start in range(0, batch.num_rows, CHUNK_ROWS):
            part = batch.slice(start, min(CHUNK_ROWS, batch.num_rows - start))
            chunk = Chunk(range(start, start + part.num_rows), list(range(part.num_rows)))
            scored, failed = score_rows(self._model, self._inputs, chunk, read(chunk, part))
            runs += [ScoredRows([start + position for position in positions], each) for positions, each in scored]
            bad += failed
        return self._arrange(batch.num_rows, runs, bad)

    def _arrange(self, rows: int, runs: Sequence[ScoredRows], bad: Sequence[BadRow]) -> RecordBatch:
        positions = [position for run in runs for position in run.positions]
        arrays = self._outputs.make_arrays(_join(runs), len(positions)) if positions else _empty(self.schema)[:-1]
        if bad:
            places = dict(zip(positions, range(len(positions)), strict=True))
            indices = Array([places.get(row) for row in range(rows)], type=DataType.uint32())
            arrays = [array.take(indices) for array in arrays]
            version = np.full(rows, self._inputs.version or 0, np.int32)
            arrays = [
                Array.from_numpy(version) if name == MODEL_VERSION else array
                for name, array in zip(self.schema.names, arrays, strict=False)
            ]
        reasons = {row.row: _explain(row) for row in bad}
        errors = Array([reasons.get(row) for row in range(rows)], type=DataType.string())
        return RecordBatch.from_arrays([*arrays, errors], schema=self.schema)


def _empty(schema: Schema) -> list[Array]:
    return [Array([], type=schema.field(name).type) for name in schema.names]


def _join(runs: Sequence[ScoredRows]) -> Tensors:
    if len(runs) == 1:
        return runs[0].outputs
    return {name: stack_padded([run.outputs[name] for run in runs]) for name in runs[0].outputs}


def _explain(row: BadRow) -> str:
    return row.error if row.column is None else f"column {row.column!r}: {row.error}"
