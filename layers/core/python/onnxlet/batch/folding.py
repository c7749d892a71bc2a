"""What the rows of a file come to: outputs of a model folded range by range, by the steps of scoring; none is written.

What is told of the ranges is joined in their order: the same numbers, by however many processes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import numpy as np

from onnxlet.batch.assembling import ERRORS, OUTPUT, Assembly, open_files
from onnxlet.batch.scoring import explain_bad_rows, score_ranges
from onnxlet.batch.scratch import scratch_folder
from onnxlet.batch.sources import LocalSource, Progress
from onnxlet.errors import InvalidInputError
from onnxlet.values.tensors import PackedTensor, Tensors, pack, unpack

if TYPE_CHECKING:
    from onnxlet.batch.book import RowCounts
    from onnxlet.batch.formats.chunks import Chunk, ParsedRows
    from onnxlet.batch.formats.ports import Note, Place, RowRange, Sink, Table
    from onnxlet.batch.inputs import Inputs
    from onnxlet.batch.rows import RowModel


class Folding(Protocol):
    """The rows of one range on their way together."""

    def add(self, outputs: Tensors) -> None:
        """Some rows more: outputs [N, …]."""

    def tell(self) -> Tensors:
        """What they come to."""


class Fold(Protocol):
    """A way in which rows come together."""

    def begin(self) -> Folding:
        """A range without rows yet."""

    def join(self, told: Sequence[Tensors]) -> Tensors:
        """What ranges come to, in their order, as one."""


class Folded(NamedTuple):
    """What the rows of a file come to, and how many they were."""

    told: Tensors
    rows: RowCounts


def fold_file(
    path: Path, model: RowModel, inputs: Inputs, fold: Fold, *, workers: int = 1, on_progress: Progress | None = None
) -> Folded:
    """Fold what a model gives for the rows of a local file, by so many processes at most; bad rows are left out.

    Raises InvalidInputError for a file that cannot be scored, and for one without a row that can.
    """

    def open_folded(table: Table) -> Table:
        return FoldedTable(table, fold)

    with closing(LocalSource(path)) as source, scratch_folder() as folder, open_files(folder) as files:
        assembly = Assembly(files, None)
        table = score_ranges(source, model, inputs, assembly, workers, on_progress, wrap=open_folded)
        rows, _ = assembly.finish(table)
        source.check_unchanged()
        if not rows.read:
            raise InvalidInputError(f"{path.name!r} has no rows")
        if not rows.scored:
            with (folder / ERRORS).open("rb") as lines:
                raise explain_bad_rows(path.name, rows, next(lines), 1.0)
        return Folded(_decode((folder / OUTPUT).read_bytes()), rows)


class FoldedTable:
    """A table whose rows are folded, and not written."""

    def __init__(self, table: Table, fold: Fold) -> None:
        self.first, self.divisible = table.first, table.divisible
        self._table = table
        self._fold = fold

    def open_range(self, start: Place, sink: Sink) -> FoldedRange:  # noqa: ARG002 - nothing is written
        """The range of rows that begins at a place."""
        return FoldedRange(self._table.open_range(start, io.BytesIO()), self._fold.begin())

    def heading(self) -> bytes:
        """Nothing."""
        return b""

    def seal(self, heading: bytes, rows: int) -> bytes:  # noqa: ARG002 - it does not say
        """The same."""
        return heading

    def ending(self, _rows: int, notes: Sequence[Note], /) -> bytes:
        """What all rows come to."""
        return _encode(self._fold.join([_decode(note.told) for note in notes]))


class FoldedRange:
    """A range whose rows are folded."""

    heading = None

    def __init__(self, rows: RowRange, folding: Folding) -> None:
        self._rows = rows
        self._folding = folding
        self._any = False
        self.end = rows.end

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows, at most `rows` at a time."""
        yield from self._rows.chunks(rows)
        self.end = self._rows.end

    def parse(self, chunk: Chunk) -> ParsedRows:
        """The tensors of a chunk's rows."""
        return self._rows.parse(chunk)

    def write(self, chunk: Chunk, positions: Sequence[int], outputs: Tensors) -> None:  # noqa: ARG002 - they have none
        """Add the outputs of some rows."""
        self._folding.add(outputs)
        self._any = True

    def finish(self) -> bytes:
        """What they come to."""
        return _encode(self._folding.tell()) if self._any else b""


class Sums:
    """Outputs added up over rows, in double precision."""

    def begin(self) -> _Summing:
        """A range without rows yet."""
        return _Summing()

    def join(self, told: Sequence[Tensors]) -> Tensors:
        """The sums of the sums."""
        summing = _Summing()
        for sums in told:
            summing.add({name: each[None] for name, each in sums.items()})
        return summing.tell()


class _Summing:
    def __init__(self) -> None:
        self._sums: Tensors = {}

    def add(self, outputs: Tensors) -> None:
        for name, tensor in outputs.items():
            sums = tensor.sum(axis=0, dtype=np.float64)
            self._sums[name] = np.asarray(self._sums[name] + sums if name in self._sums else sums)

    def tell(self) -> Tensors:
        return self._sums


class Sample(NamedTuple):
    """Some rows of each range, evenly apart, and of all of those: at most so many."""

    rows: int
    all_rows: int

    def begin(self) -> _Sampling:
        """A range without rows yet."""
        return _Sampling(self.rows)

    def join(self, told: Sequence[Tensors]) -> Tensors:
        """Those of them that are kept."""
        return _take(_stack(told), self.all_rows)


class _Sampling:
    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._taken: list[Tensors] = []

    def add(self, outputs: Tensors) -> None:
        self._taken.append(outputs)

    def tell(self) -> Tensors:
        return _take(_stack(self._taken), self._rows)


def _take(rows: Tensors, most: int) -> Tensors:
    """At most so many rows, evenly apart."""
    count = len(next(iter(rows.values()), ()))
    places = np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))
    return {name: tensor[places] for name, tensor in rows.items()}


def _stack(parts: Sequence[Tensors]) -> Tensors:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _encode(tensors: Tensors) -> bytes:
    return msgspec.json.encode(pack(tensors))


def _decode(data: bytes) -> Tensors:
    return unpack(msgspec.json.decode(data, type=dict[str, PackedTensor]))
