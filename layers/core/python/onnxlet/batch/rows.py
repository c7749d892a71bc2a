"""The scoring loop: chunks of rows through a model; what cannot be scored is set aside, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import numpy as np
from msgspec.structs import replace

from onnxlet.batch.book import RowCounts
from onnxlet.batch.formats.chunks import RUN_ROWS, BadRow, Batch, Chunk, ParsedRows
from onnxlet.errors import ExecutionError, InvalidInputError, OnnxletError, RequestTooLargeError
from onnxlet.values.tensors import Tensors

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import RowRange, Sink
    from onnxlet.batch.inputs import Inputs


class RowModel(Protocol):
    """What predicts rows, as `onnxlet.serving.model.Model` does."""

    @property
    def threads(self) -> int:
        """Threads of its own, beside the one that asks it."""

    def predict(self, inputs: Tensors, signature_name: str, /) -> Tensors:
        """The outputs for inputs of a signature."""


class ScoredRows(NamedTuple):
    """Positions of rows in their chunk, and the model's outputs for them."""

    positions: Sequence[int]
    outputs: Tensors


class RowFaultError(InvalidInputError):
    """What is wrong with a row, in words that hold nothing of it."""


class FailedRow(NamedTuple):
    """The position of a row in its chunk, why it failed, and the column to blame, where a step refused its value."""

    position: int
    why: str
    column: str | None = None


_FAILED = "the model failed on this row"
_REFUSED = "the model takes no such value"


def score_chunks(model: RowModel, inputs: Inputs, rows: RowRange, chunks: Iterable[Chunk], errors: Sink) -> RowCounts:
    """Score chunks of a range, in order, and write the bad rows to `errors` as JSON Lines.

    Raises InvalidInputError if the file as a whole cannot be scored, DeadlineExceededError if the model is too slow.
    """
    read = scored = 0
    for chunk in chunks:
        runs, bad = score_rows(model, inputs, chunk, rows.parse(chunk))
        for positions, outputs in runs:
            rows.write(chunk, positions, outputs)
            scored += len(positions)
        if bad:
            located = (replace(row, byte=chunk.locate(row.row)) for row in bad)
            errors.write(b"".join(msgspec.json.encode(row) + b"\n" for row in located))
        read += len(chunk.rows) + len(chunk.bad)
    return RowCounts(read, scored, read - scored)


def score_rows(
    model: RowModel, inputs: Inputs, chunk: Chunk, parsed: ParsedRows
) -> tuple[list[ScoredRows], list[BadRow]]:
    """What the model says of a chunk's rows, and the bad rows, both in their order. Raises as `score_chunks`."""
    runs, failed = _run_batches(model, inputs, parsed.batches)
    model_failed = [BadRow(chunk.numbers[position], why, column) for position, why, column in failed]
    return _sort_rows(runs), sorted([*chunk.bad, *parsed.bad, *model_failed], key=lambda row: row.row)


def _run_batches(model: RowModel, inputs: Inputs, batches: list[Batch]) -> tuple[list[ScoredRows], list[FailedRow]]:
    """Run a chunk's batches: what came of them, and the rows on which the model failed."""
    runs: list[ScoredRows] = []
    failed: list[FailedRow] = []
    for batch in _cut(batches, inputs.rows_at_once):
        done, bad = _run(model, inputs, batch)
        runs += done
        failed += bad
    return runs, failed


def _cut(batches: list[Batch], rows_at_once: int | None) -> Iterator[Batch]:
    """Batches of as many rows as the model takes at once."""
    rows = rows_at_once or RUN_ROWS
    for batch in batches:
        for first in range(0, len(batch.positions), rows):
            yield _part(batch, first, first + rows)


def _part(batch: Batch, first: int, last: int) -> Batch:
    inputs = {name: tensor[first:last] for name, tensor in batch.inputs.items()}
    return Batch(batch.positions[first:last], inputs)


def _run(model: RowModel, inputs: Inputs, batch: Batch) -> tuple[list[ScoredRows], list[FailedRow]]:
    """Run a batch; if it fails, its halves, so that one row's fault stays its own. And who failed."""
    rows = len(batch.positions)
    try:
        outputs = model.predict(inputs.read(batch.inputs), inputs.signature_name)
    except (ExecutionError, InvalidInputError, RequestTooLargeError) as error:
        if rows == 1:
            return [], [_blame(batch.positions[0], error, inputs)]
        halves = [_run(model, inputs, _part(batch, first, first + (rows + 1) // 2)) for first in (0, (rows + 1) // 2)]
        return [each for done, _ in halves for each in done], [each for _, failed in halves for each in failed]
    for name, tensor in outputs.items():
        if tensor.shape[:1] != (len(batch.positions),):
            raise InvalidInputError(f"the model's output {name!r} does not have one element per row")
    return [ScoredRows(batch.positions, outputs)], []


def _blame(position: int, error: OnnxletError, inputs: Inputs) -> FailedRow:
    """A row that failed. The model's own words may quote it, which is nobody's business; those on pictures do not."""
    if inputs.pictures is not None and not isinstance(error, ExecutionError):
        return FailedRow(position, error.detail.replace("picture 0 ", "the picture ", 1))
    if isinstance(error, RowFaultError):
        return FailedRow(position, error.detail)
    column = error.context.get("column")
    return FailedRow(position, _FAILED) if column is None else FailedRow(position, _REFUSED, str(column))


def _join(runs: list[ScoredRows]) -> list[ScoredRows]:
    """Runs of rows in order, whose outputs are of one shape, as one."""
    if len(runs) < 2 or any(first.positions[-1] > second.positions[0] for first, second in pairwise(runs)):  # noqa: PLR2004
        return runs
    if len({tuple((name, tensor.shape[1:]) for name, tensor in outputs.items()) for _, outputs in runs}) > 1:
        return runs
    outputs = {name: np.concatenate([run.outputs[name] for run in runs]) for name in runs[0].outputs}
    return [ScoredRows(_chain([run.positions for run in runs]), outputs)]


def _chain(parts: Sequence[Sequence[int]]) -> Sequence[int]:
    """Positions one behind the other."""
    first, last = parts[0], parts[-1]
    whole = range(first[0], last[-1] + 1)
    # they rise, so if there are as many as between the ends they are all of these
    return whole if len(whole) == sum(map(len, parts)) else list(chain.from_iterable(parts))


def _sort_rows(runs: list[ScoredRows]) -> list[ScoredRows]:
    """Rows that were run apart, because of their shapes or a bad one among them, in their file's order again."""
    joined = _join(runs)
    if len(joined) == 1:
        return joined
    rows = [
        ScoredRows([position], {name: tensor[place : place + 1] for name, tensor in outputs.items()})
        for positions, outputs in runs
        for place, position in enumerate(positions)
    ]
    return sorted(rows, key=lambda row: row.positions[0])
