"""Rows of files, counted as live ones are: range by range, by whoever scores it, and once for each file and day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.errors import OnnxletError
from onnxlet.monitor.stacking import stack
from onnxlet.monitor.windows import FEWEST_ROWS, part_key, write_part
from onnxlet.telemetry import UNSKETCHED_ROWS, log
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import ALGORITHM, digest
from onnxlet.values.timestamps import day_of, utc_now

if TYPE_CHECKING:
    from onnxlet.batch.book import Scorer
    from onnxlet.batch.rows import RowModel
    from onnxlet.monitor.counter import RowCounter
    from onnxlet.monitor.sketch import SketchDocument
    from onnxlet.store import Store
    from onnxlet.telemetry.recording import Telemetry
    from onnxlet.values.tensors import Tensors

_DIGITS = 32
MANY_ROWS = 8192


class CountingModel:
    """A model whose rows are counted, thousands at a time: few rows take ten times as long, each.

    What it is given and gives must stay as it is until then.
    """

    def __init__(self, model: RowModel, counter: RowCounter) -> None:
        self.threads = model.threads
        self._model = model
        self._counter = counter
        self._sketch = counter.begin()
        self._waiting: list[tuple[Tensors, Tensors]] = []
        self._rows = 0

    def predict(self, inputs: Tensors, signature: str) -> Tensors:
        """What the model gives. Raises as it does."""
        outputs = self._model.predict(inputs, signature)
        self._waiting.append((inputs, outputs))
        self._rows += len(next(iter(inputs.values()), ()))
        if self._rows >= MANY_ROWS:
            self._count()
        return outputs

    def document(self) -> SketchDocument:
        """What was counted."""
        self._count()
        return self._sketch.document()

    def _count(self) -> None:
        for parts in stack(self._waiting):
            self._counter.count(self._sketch, *parts)
        self._waiting, self._rows = [], 0


def write_counts(
    store: Store, scorer: Scorer, counted: SketchDocument, *source: str, telemetry: Telemetry | None = None
) -> None:
    """Write what was counted of a source, below today. Of the same source that is scored again it is written once.

    A sketch of a few rows is those rows, so it is not written. Of what is not, as where the store does not take it,
    `telemetry` is told, and no more.
    """
    if counted.rows < FEWEST_ROWS:
        log(__name__).info("%d rows of %s:%d were not sketched: too few", counted.rows, scorer.model, scorer.version)
        _tell(telemetry, scorer, counted.rows)
        return
    name = digest(canonical([scorer.digest, *source])).removeprefix(ALGORITHM)[:_DIGITS]
    key = part_key(scorer.model, scorer.version, day_of(utc_now()), name, 0)
    try:
        write_part(store, key, counted)
    except OnnxletError as error:
        log(__name__).warning("the rows of %s:%d are not counted: %s", scorer.model, scorer.version, error)
        _tell(telemetry, scorer, counted.rows)


def _tell(telemetry: Telemetry | None, scorer: Scorer, rows: int) -> None:
    if telemetry is not None and rows:
        telemetry.record({UNSKETCHED_ROWS: rows}, model=scorer.model, version=scorer.version)
